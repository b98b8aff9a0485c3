"""Every promise of the page of guarantees names tests, and those tests are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "guarantees.md").read_text()
PROMISES = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for table in PAGE.split("| Promise | Shown by |\n")[1:]
    for line in table.split("\n\n")[0].splitlines()[1:]
]


def names_in(path: Path) -> set[str]:
    return {getattr(node, "name", "") for node in ast.parse(path.read_text()).body} | {
        target.id
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def test_the_page_has_promises() -> None:
    """The tables are found, under each heading that promises something."""
    assert len(PROMISES) >= 15
    assert all(len(row) == 2 for row in PROMISES)


@pytest.mark.parametrize("row", PROMISES, ids=lambda row: str(row[0])[:40])
def test_each_promise_names_a_test_that_is_there(row: list[str]) -> None:
    """A promise without a test, or with one that was renamed or removed, fails here."""
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row[1])
    assert named
    for file, name in named:
        assert (ROOT / file).is_file(), file
        assert not name or name in names_in(ROOT / file), f"{file}::{name}"
