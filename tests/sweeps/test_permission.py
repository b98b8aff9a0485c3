"""The real program as an ordinary account, where something is not that account's to change, or to read."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

from conveyor.engine.plan import Operation
from conveyor.errors import NotPermittedError
from support.inventory import inventory
from support.program import Program
from support.stage import Stage
from support.volumes import volumes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOBODY = 65534


class Closed(NamedTuple):
    """What is closed to the account, below the stage's folders; ``is_root`` makes it another account's as well."""

    path: str
    mode: int
    is_root: bool = False


REFUSED = {
    "the QA area": Closed("far/now/qa2", 0o755, is_root=True),
    "the request's directory": Closed("near/now/spool/tmpiox5trbp", 0o555),
    "the folder of the weblog cache": Closed("near/now", 0o755, is_root=True),
    "the request's directory, unreadable": Closed("near/now/spool/tmpiox5trbp", 0o311),
    "the spool area": Closed("near/now/spool", 0o000),
}
FAILED = {
    "a file that cannot be read": Closed("near/now/spool/tmpiox5trbp/rawdata/folder/file.txt", 0o000),
    "a folder that cannot be read": Closed("near/now/spool/tmpiox5trbp/products/folder", 0o000),
}


@pytest.fixture
def ordinary(near: Path) -> Iterator[Stage]:
    """A request of an ordinary account, with the QA area on another file system."""
    if os.geteuid() != 0:
        pytest.skip("only root can run the program as another account")
    near.chmod(0o755)
    with Program(near / "program") as program, volumes() as mounted:
        mounted.memory(near / "far", kib=4096)
        (near / "near").mkdir()
        stage = Stage(program, near / "near", near / "far", account=NOBODY)
        subprocess.run(
            ["chown", "-R", "--no-dereference", f"{NOBODY}:{NOBODY}", near / "near", near / "far"], check=True
        )
        stage.prepare(Operation.DELIVER, second=False)
        yield stage


def closed_to(near: Path, what: Closed) -> tuple[Path, os.stat_result]:
    """Close something; where it is, and how it was."""
    path = near / what.path
    before = path.stat()
    if what.is_root:
        os.chown(path, 0, 0)
    path.chmod(what.mode)
    return path, before


def opened_again(path: Path, before: os.stat_result) -> None:
    os.chown(path, before.st_uid, before.st_gid)
    path.chmod(before.st_mode & 0o7777)


@pytest.mark.parametrize("what", list(REFUSED))
def test_a_place_that_may_not_be_changed_refuses_the_delivery(ordinary: Stage, near: Path, what: str) -> None:
    """The run ends with 77, names the place, and has changed nothing; opened, the place lets another run through."""
    path, was = closed_to(near, REFUSED[what])
    before = [inventory(place) for place in ordinary.places]
    ending = ordinary.start(Operation.DELIVER).wait()
    assert ending.status == NotPermittedError.exit_code, ending.err
    assert str(path) in ending.request["error"]["message"]
    assert [inventory(place) for place in ordinary.places] == before
    opened_again(path, was)
    ordinary.convey(Operation.DELIVER)
    ordinary.check_the_end(Operation.DELIVER)


@pytest.mark.parametrize("what", list(FAILED))
def test_data_that_may_not_be_read_fails_the_copy(ordinary: Stage, near: Path, what: str) -> None:
    """The run ends with 77 and names what it cannot read; the source is whole, and another run completes the delivery."""
    path, was = closed_to(near, FAILED[what])
    ending = ordinary.start(Operation.DELIVER).wait()
    assert ending.status == NotPermittedError.exit_code, ending.err
    assert str(path) in ending.request["error"]["message"]
    opened_again(path, was)
    ordinary.check_the_instant()
    ordinary.convey(Operation.DELIVER)
    ordinary.check_the_end(Operation.DELIVER)
