"""Make the map of the code in CONTRIBUTING.md anew: ``python3 -m tools.code_map``.

A module's line is the first paragraph of its docstring. Packages come in the order of the layers in ``pyproject.toml``.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "CONTRIBUTING.md"
SOURCE = ROOT / "src" / "conveyor"
BEGIN, END = "<!-- made by tools/code_map.py: begin -->\n", "<!-- end -->\n"


def with_map(page: str) -> str:
    """The page with the map of the code as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return "".join((before, BEGIN, "\n", *(f"{line}\n" for line in _package(SOURCE)), "\n", END, after))


def _package(folder: Path) -> Iterator[str]:
    """The lines of a package: itself, its modules, then the packages in it."""
    yield f"- **`{folder.relative_to(SOURCE.parent)}/`** – {_first_paragraph(folder / '__init__.py')}"
    for module in sorted(folder.glob("*.py")):
        if module.name != "__init__.py":
            yield f"  - `{module.name}` – {_first_paragraph(module)}"
    for inner in sorted((path.parent for path in folder.glob("*/__init__.py")), key=_layer):
        yield from _package(inner)


def _first_paragraph(module: Path) -> str:
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.partition("\n\n")[0].split()).replace("``", "`")


def _layer(package: Path) -> tuple[int, str]:
    """The place of a package among the layers, the highest first; after them, if it is none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [layers] = [one["layers"] for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]
    names = [name for layer in layers for name in layer.split(" | ")]
    name = f"conveyor.{package.name}"
    return (names.index(name) if name in names else len(names), name)


if __name__ == "__main__":
    PAGE.write_text(with_map(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
