"""What import-linter cannot see: that no layer but the file system's changes anything by way of pathlib or open()."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import conveyor

SOURCE = Path(conveyor.__file__).parent
CHANGES = {"chmod", "hardlink_to", "mkdir", "rename", "replace", "rmdir", "symlink_to", "touch", "unlink"}
CHANGES |= {"write_bytes", "write_text"}
# What has such a name and is none: the port's own operations are called on a file system; strings and dataclasses replace.
PORT = {"fs", "_fs", "self"}
MODULES = [path for path in sorted(SOURCE.rglob("*.py")) if "filesystem" not in path.parts]


def _changes(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in CHANGES:
            owner = function.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            is_text = function.attr == "replace" and len(node.args) == 2
            if name not in PORT and not is_text:
                found.append(f"{node.lineno}: .{function.attr}()")
        if (
            isinstance(function, ast.Name | ast.Attribute)
            and getattr(function, "id", getattr(function, "attr", "")) == "open"
        ):
            modes = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            found += [f"{node.lineno}: open for {mode!r}" for mode in modes if set(mode) & set("wax+")]
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_the_file_system_layer_changes_anything(module: Path) -> None:
    """No module outside ``filesystem`` calls a changing method of pathlib, or opens for writing; the log file apart."""
    changes = _changes(ast.parse(module.read_text()))
    if module.name == "logs.py":
        assert len(changes) == 1
        assert "open for 'a'" in changes[0]
    else:
        assert changes == []


def test_the_search_finds_what_it_looks_for() -> None:
    """The check itself can fail: it finds each kind of change."""
    text = "p.write_text('x')\nopen('f', 'w')\np.open('ab')\nPath('x').rename('y')\n's'.replace('a', 'b')\nself._fs.rename()"
    assert len(_changes(ast.parse(text))) == 4


def test_no_public_name_is_a_module_too() -> None:
    """A module of the name of a public function would take its place as soon as it is imported."""
    modules = {path.name.removesuffix(".py") for path in SOURCE.iterdir()}
    assert modules & set(conveyor.__all__) == set()


def test_no_file_name_occurs_twice() -> None:
    """A file is known by its name alone; ``cli/commands`` may repeat the names of what it calls."""
    names = [
        path.name for path in SOURCE.rglob("*.py") if path.name != "__init__.py" and path.parent.name != "commands"
    ]
    assert sorted(names) == sorted(set(names))


def test_every_public_name_can_be_had() -> None:
    """Each is imported on demand from the module that has it, whatever was moved."""
    assert [name for name in conveyor.__all__ if not hasattr(conveyor, name)] == []
