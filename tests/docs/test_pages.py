"""Every command block of the README and the documentation is run, and prints what the page shows."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

import conveyor
from support.pages import NOT_COMPARED, NOT_RUN, ROOT, commands, pages, plain, python_of, run_all, shows
from support.scenes import make_scene

if TYPE_CHECKING:
    from pathlib import Path

TUTORIAL = "docs/tutorial/first-delivery.md"


def test_every_command_of_the_tutorial_prints_what_the_tutorial_shows(tmp_path: Path) -> None:
    """The tutorial's commands, run in a shell one after another, print what stands below them, and nothing else."""
    (tmp_path / "data").mkdir()
    wanted = commands(TUTORIAL)
    assert len(wanted) > 10
    for ran in run_all(wanted, tmp_path, tmp_path / "data"):
        assert plain(ran.printed) == plain(ran.command.shown), ran.command.text


@pytest.mark.parametrize("page", [page for page in pages() if page != TUTORIAL])
def test_every_command_of_a_page_does_what_the_page_shows(page: str, tmp_path: Path) -> None:
    """Each command ends well, or with the error that the page shows, and prints what stands below it, if anything does."""
    wanted = [command for command in commands(page) if command.why_not is None]
    place = make_scene(page, tmp_path)
    ran = run_all(wanted, tmp_path, place) if wanted else []
    for position, one in enumerate(ran, 1):
        shown = "" if page in NOT_COMPARED else one.command.shown
        assert not shown.strip() or shows(shown, one.printed), f"{one.command.text}\n{one.printed}"
        if [after.command.text for after in ran[position : position + 1]] != ["echo $?"]:
            fails = re.search(r"^conveyor: ", shown, re.MULTILINE) is not None
            assert (one.status != 0) is fails, f"{one.command.text}\n{one.printed}"
    if program := python_of(page):
        program = program.replace("/data/", f"{tmp_path}/data/")
        subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=place, check=True, timeout=120)


def test_few_commands_cannot_be_run() -> None:
    """What is left out is left out for a reason that is written down, is less than a third, and each reason is needed."""
    every = [command for page in pages() for command in commands(page)]
    left_out = [command for command in every if command.why_not]
    assert len(left_out) * 3 < len(every)
    assert {command.why_not for command in left_out} == set(NOT_RUN.values())


def _settings() -> list[tuple[str, str]]:
    """The TOML of every page that is about settings, by page."""
    found = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        blocks = re.findall(r"^```toml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
        found += [(page.name, block) for block in blocks if "[project" not in block]
    return found


@pytest.mark.parametrize(("page", "text"), _settings())
def test_every_setting_of_a_page_is_one(page: str, text: str, tmp_path: Path) -> None:
    """What a page has as TOML is taken as settings; what CAPO would say is left out."""
    table = {name: value for name, value in tomllib.loads(text).items() if name != "capo"}
    assert isinstance(conveyor.load_config(table, environment={}), conveyor.Config), page
