"""What starting the program costs, as ratios to starting Python and to importing what the program is built on.

A post script starts Conveyor thousands of times, so that importing is most of what a conveyance costs where both areas are
on one file system. Run with the interpreter that Conveyor is installed for (not a version manager's shim)::

    python benchmarks/startup.py [--rounds N] [--json] [--folder DIR]

Every round runs each command once, in a new order. Only ratios within a round mean anything on a machine that does other
things too; what is printed is their median over the rounds.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

_MODEL = "class M(pydantic.BaseModel):\n" + "".join(f"    field{n}: int = {n}\n" for n in range(10)) + "M()\n"
_SETTINGS = "import pydantic_settings\nclass S(pydantic_settings.BaseSettings):\n    one: int = 1\nS()\n"
_RICH = "import rich.console, rich.progress\n"
_BASES = ("python -c pass", "import click", "import click, pydantic, structlog", "all together")


def imports() -> dict[str, str]:
    """What the program is compared with: Python code by its label."""
    has_settings, has_rich = find_spec("pydantic_settings") is not None, find_spec("rich") is not None
    together = "import click, pydantic, structlog\n" + _MODEL + _SETTINGS * has_settings + _RICH * has_rich
    code = {
        "python -c pass": "pass",
        "import click": "import click",
        "import click, pydantic, structlog": "import click, pydantic, structlog",
        "pydantic with a model": "import pydantic\n" + _MODEL,
        "all together": together,
    }
    if has_settings:
        code["pydantic with a model, pydantic-settings"] = "import pydantic\n" + _MODEL + _SETTINGS
    return code


def make_request(workspace: Path, name: str) -> Path:
    """A small request with a weblog, new in the workspace; its metadata.json."""
    for area in ("qa2", "image-qa"):
        (workspace / area).mkdir(parents=True, exist_ok=True)
    spool = workspace / "spool" / name
    for directory in ("rawdata", "products", "working"):
        (spool / directory / "folder").mkdir(parents=True)
        (spool / directory / "folder" / "file").write_text(directory)
    with tarfile.open(spool / "products" / "weblog.tgz", "w:gz") as tar:
        for number in range(10):
            page = tarfile.TarInfo(f"pipeline-20210910T203614/html/t{number}-1.html")
            page.size = 1000
            tar.addfile(page, io.BytesIO(b"x" * 1000))
    metadata = spool / "metadata.json"
    metadata.write_text(json.dumps({"workflowName": "std_calibration", "destinationDirectory": str(spool)}))
    return metadata


def measure(command: list[str], environment: dict[str, str]) -> float:
    """Seconds that a command takes; its output goes to no terminal, as under HTCondor."""
    null = subprocess.DEVNULL
    start = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdin=null, stdout=null, stderr=null)
    return time.perf_counter() - start


def run(rounds: int, workspace: Path) -> dict[str, list[float]]:
    """The seconds of each command, one a round, all commands in each round."""
    script = Path(sys.executable).with_name("conveyor")
    program = [str(script)] if script.exists() else [sys.executable, "-m", "conveyor"]
    commands = {label: [sys.executable, "-c", code] for label, code in imports().items()}
    commands["conveyor --version"] = [*program, "--version"]
    commands["conveyor deliver"] = [*program, "deliver"]
    # Byte code is where an installation has it: found. An environment that forbids to write it would measure the compiler.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(workspace / "bytecode")
    seconds: dict[str, list[float]] = {label: [] for label in commands}
    for number in range(-1, rounds):  # the first round writes byte code and warms the cache
        for label in random.sample(list(commands), len(commands)):
            command = commands[label]
            if label == "conveyor deliver":
                command = [*command, str(make_request(workspace, f"tmp{number}"))]
            taken = measure(command, environment)
            if number >= 0:
                seconds[label].append(taken)
    return seconds


def ratio(seconds: dict[str, list[float]], label: str, base: str) -> float:
    """The median over the rounds of one command's time divided by another's."""
    return statistics.median(a / b for a, b in zip(seconds[label], seconds[base], strict=True))


def report(seconds: dict[str, list[float]]) -> dict[str, object]:
    """Medians in milliseconds, and the program's ratios to each base."""
    settings = "pydantic with a model, pydantic-settings"
    model = "pydantic with a model"
    added = [a - b for a, b in zip(seconds[settings], seconds[model], strict=True)] if settings in seconds else None
    return {
        "schema": "conveyor-startup/1",
        "python": sys.version.split()[0],
        "rounds": len(seconds[_BASES[0]]),
        "milliseconds": {label: round(1000 * statistics.median(values), 1) for label, values in seconds.items()},
        "ratios": {
            label: {base: round(ratio(seconds, label, base), 2) for base in _BASES}
            for label in ("conveyor --version", "conveyor deliver")
        },
        "pydantic_settings_adds": added and round(1000 * statistics.median(added), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=21, metavar="N", help="how often each command runs (default 21)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="where the requests are made (default: a temporary one)"
    )
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    with tempfile.TemporaryDirectory(prefix="conveyor-startup-", dir=options.folder) as folder:
        result = report(run(options.rounds, Path(folder).resolve()))
    if options.json:
        print(json.dumps(result, indent=2))
        return
    milliseconds, ratios = result["milliseconds"], result["ratios"]
    assert isinstance(milliseconds, dict)
    assert isinstance(ratios, dict)
    print(f"Python {result['python']}, medians of {result['rounds']}")
    for label, value in milliseconds.items():
        print(f"  {value:7.1f} ms  {label}")
    for label, values in ratios.items():
        print(f"{label}, as a ratio to")
        for base, value in values.items():
            print(f"  {value:7.2f}     {base}")
    if (added := result["pydantic_settings_adds"]) is None:
        print(
            "importing pydantic-settings would add: not measured, it is not installed (pip install pydantic-settings)"
        )
    else:
        print(f"importing pydantic-settings would add {added:.1f} ms")


if __name__ == "__main__":
    main()
