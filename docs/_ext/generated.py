"""Tables that are made from the code, so that they cannot differ from it.

Each directive writes a Markdown table and has it parsed where it stands.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from sphinx.util.docutils import SphinxDirective

from conveyor.capabilities.builtin import BUILT_IN
from conveyor.cli.commands.conveyances import deliver
from conveyor.engine.steps import STEPS
from conveyor.errors import tree
from conveyor.settings.model import TABLES, Settings

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx


class GeneratedTable(SphinxDirective):
    """A table of ``rows`` below ``header``."""

    header: tuple[str, ...] = ()

    def rows(self) -> list[tuple[str, ...]]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        lines = [_row(self.header), _row(("---",) * len(self.header)), *map(_row, self.rows())]
        return self.parse_text_to_nodes("\n".join(lines))


class Errors(GeneratedTable):
    """Every error: its exit code, stable code, meaning and hint."""

    header = ("Exit status", "Code", "Meaning", "Hint")

    def rows(self) -> list[tuple[str, ...]]:
        kinds = sorted(tree(), key=lambda kind: kind.exit_code)
        return [(str(kind.exit_code), f"`{kind.code}`", _first_paragraph(kind), kind.hint) for kind in kinds]


class SettingsTable(GeneratedTable):
    """Every setting: where it can be set, its type, default and meaning."""

    header = ("TOML", "Environment", "Flag", "Values", "Default", "Meaning")

    def rows(self) -> list[tuple[str, ...]]:
        flags = {option.name: option.opts[-1] for option in deliver.params if option.opts[-1].startswith("--")}
        return [
            (
                f"`{name}`",
                "–" if name in TABLES else f"`CONVEYOR_{name.upper()}`",
                f"`{flags[name]}`" if name in flags else "–",
                _values(field.annotation),
                "–" if (default := field.get_default(call_default_factory=True)) in (None, {}) else f"`{default}`",
                field.description or "",
            )
            for name, field in Settings.model_fields.items()
        ]


class Capabilities(GeneratedTable):
    """The capabilities that come with Conveyor."""

    header = ("Name", "Workflows", "QA area", "Directories", "Weblog")

    def rows(self) -> list[tuple[str, ...]]:
        return [
            (
                f"`{one.name}`",
                ", ".join(f"`{workflow}`" for workflow in one.workflows),
                f"`{one.qa_area}`",
                ", ".join(f"`{each.name}`" + ("" if each.required else " (optional)") for each in one.directories),
                "none"
                if one.weblog is None
                else f"in `{one.weblog.directory}`: "
                + ", ".join(f"`{pattern}`" for pattern in one.weblog.patterns)
                + (" (required)" if one.weblog.required else " (optional)"),
            )
            for one in BUILT_IN
        ]


class Steps(GeneratedTable):
    """The steps that a plan is made of."""

    header = ("Step", "What it does")

    def rows(self) -> list[tuple[str, ...]]:
        subject = "*subject*"
        return [(f"`{step.name}`", step(subject).describe()) for step in STEPS]


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _first_paragraph(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("``", "`")


def _values(annotation: Any) -> str:
    """A setting's type in words."""
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    text = str(annotation)
    names = {
        "Path": "path",
        "dict[str, dict": "tables",
        "dict[str, str]": "table of strings",
        "ByteSize": "size, as `2000000`, `200M`, `1GiB`",
        "int": "whole number > 0",
    }
    return next((words for name, words in names.items() if name in text), text)


def _escape_patterns(_: Sphinx, __: Any, lines: list[str]) -> None:
    """Escape the patterns of the shell in the examples of a command's help, which reStructuredText takes for emphasis."""
    lines[:] = [line.replace("*", "\\*") for line in lines]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.setup_extension("sphinx_click")
    app.connect("sphinx-click-process-epilog", _escape_patterns)
    app.add_directive("conveyor-errors", Errors)
    app.add_directive("conveyor-settings", SettingsTable)
    app.add_directive("conveyor-capabilities", Capabilities)
    app.add_directive("conveyor-steps", Steps)
    return {"parallel_read_safe": True, "version": "1"}
