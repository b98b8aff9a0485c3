"""Tables and a picture from the files that the other benchmarks wrote with ``--json``, for the documentation::

    python -m benchmarks.report FILE ... [--markdown FILE] [--picture FILE]

The picture needs matplotlib; what the name of its file ends with says its format.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.support.table import as_markdown


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("results", type=Path, nargs="+", metavar="FILE", help="a result, in the order of the report")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there (default: print them)")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw a picture there")
    options = parser.parse_args()
    results = [json.loads(path.read_text()) for path in options.results]
    text = "\n\n".join(as_markdown(result) for result in results) + "\n"
    if options.markdown:
        options.markdown.write_text(text)
    else:
        print(text, end="")
    if options.picture:
        from benchmarks.support.plot import draw

        draw(results, options.picture)


if __name__ == "__main__":
    main()
