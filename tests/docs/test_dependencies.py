"""The page on dependencies says of each what it buys."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_dependency_has_a_line_that_says_what_it_buys() -> None:
    """Whatever pyproject.toml names, to run, to test, to document or to build, has a row of its own on the page."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = list(project["build-system"]["requires"]) + list(project["project"]["dependencies"])
    for group in (project["project"]["optional-dependencies"], project["dependency-groups"]):
        wanted += [one for members in group.values() for one in members if isinstance(one, str)]
    page = (ROOT / "docs" / "explanation" / "dependencies.md").read_text()
    rows = re.findall(r"^\| (.+?) \|", page, re.MULTILINE)
    said = {word for row in rows for word in re.findall(r"[\w-]+", row.lower())}
    assert {re.split(r"[<>=\[;! ]", one)[0].lower() for one in wanted} <= said
