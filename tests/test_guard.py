"""The guard: a test cannot change anything outside its own folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.guard import OutsideError

ELSEWHERE = Path(__file__).parent


@pytest.mark.parametrize(
    "change",
    [
        lambda: (ELSEWHERE / "new").write_text("x"),
        (ELSEWHERE / "new").mkdir,
        lambda: (ELSEWHERE / "new").symlink_to("x"),
        lambda: Path(__file__).rename(ELSEWHERE / "new"),
        lambda: Path(__file__).chmod(0o644),
        lambda: os.utime(__file__),
        lambda: os.open(ELSEWHERE, os.O_RDONLY | os.O_DIRECTORY),
        lambda: Path(os.path.relpath(ELSEWHERE / "new")).touch(),
    ],
)
def test_a_change_outside_the_tests_own_folder_is_refused(change: object) -> None:
    """Every kind of change that names a path elsewhere raises before it happens."""
    assert callable(change)
    with pytest.raises(OutsideError):
        change()
    assert not (ELSEWHERE / "new").exists()


def test_a_change_inside_the_tests_own_folder_is_let_through(tmp_path: Path) -> None:
    """The guard does not stand in the way of a test's own work."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("x")
    assert (tmp_path / "folder" / "file").read_text() == "x"
