"""``python -m conveyor``: the same program as ``conveyor``."""

from conveyor.cli.main import run

if __name__ == "__main__":
    run()
