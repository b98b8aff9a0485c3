"""Files below a directory that others fill: opened where they are inside, and in no other case."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING

import pytest

from conveyor.filesystem.edited_since import EditKind, Edits, edited_since
from conveyor.filesystem.open_beneath import open_beneath
from conveyor.filesystem.posix import FileSystem

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with a file, a secret beside it, and links that stay inside."""
    inside = tmp_path / "weblog"
    (inside / "html" / "stage1").mkdir(parents=True)
    (inside / "html" / "t1-1.html").write_bytes(b"the page")
    (inside / "html" / "index.html").symlink_to("t1-1.html")
    (inside / "html" / "stage1" / "up.html").symlink_to("../index.html")
    (inside / "receipt").write_bytes(b"hidden")
    (inside / "html" / "to the receipt").symlink_to("../receipt")
    (tmp_path / "secret").write_bytes(b"secret")
    return inside


def _read(root: Path, path: str) -> bytes:
    with FileSystem().open_root(root) as opened:
        file = open_beneath(opened, path, hidden=frozenset({"receipt"}))
        try:
            return file.read_at(0, 100)
        finally:
            file.close()
            file.close()


@pytest.mark.parametrize(
    "path", ["html/t1-1.html", "html/index.html", "html/stage1/up.html", "html//./stage1/../index.html"]
)
def test_what_is_inside_is_read(root: Path, path: str) -> None:
    """A file is read by its name and by links that stay inside."""
    assert _read(root, path) == b"the page"


@pytest.mark.parametrize(
    ("path", "text", "code"),
    [
        ("../secret", None, errno.EXDEV),
        ("html/../../secret", None, errno.EXDEV),
        ("html/link", "/etc/passwd", errno.EXDEV),
        ("html/link", "../../secret", errno.EXDEV),
        ("html/link", "link", errno.ELOOP),
        ("html/link/secret", "../..", errno.EXDEV),
        ("html/t1-1.html/x", None, errno.ENOTDIR),
        ("html", None, errno.EISDIR),
        ("", None, errno.EISDIR),
        ("receipt", None, errno.ENOENT),
        ("html/to the receipt", None, errno.ENOENT),
        ("missing", None, errno.ENOENT),
    ],
)
def test_what_leads_elsewhere_is_not(root: Path, path: str, text: str | None, code: int) -> None:
    """Whatever leads out, to nothing, or to what is hidden, is refused, each with its error."""
    if text is not None:
        (root / "html" / "link").symlink_to(text)
    with pytest.raises(OSError, match=re.escape(f"[Errno {code}]")):
        _read(root, path)


def test_a_fifo_is_not_waited_for(root: Path) -> None:
    """What is no regular file is refused at once."""
    os.mkfifo(root / "fifo")
    with pytest.raises(OSError, match="not a regular file"):
        _read(root, "fifo")


def test_a_directory_that_is_swapped_for_a_link_leads_nowhere(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two steps of a walk, a directory may become a link to elsewhere: nothing outside is ever read."""
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "t1-1.html").write_bytes(b"secret")
    real_open, steps = os.open, 0

    for swapped_at in range(6):
        steps = 0

        def swapping(name: object, *arguments: object, swapped_at: int = swapped_at, **named: object) -> int:
            nonlocal steps
            if "dir_fd" in named:
                if steps == swapped_at:
                    os.rename(root / "html", root / "was")
                    (root / "html").symlink_to("../outside")
                steps += 1
            return real_open(name, *arguments, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "open", swapping)
        try:
            content = _read(root, "html/t1-1.html")
        except OSError:
            content = b""
        monkeypatch.setattr(os, "open", real_open)
        assert content in (b"", b"the page")
        if (root / "was").exists():
            (root / "html").unlink()
            os.rename(root / "was", root / "html")
    assert steps >= 3


def test_descriptors_are_given_back(root: Path) -> None:
    """Neither an answer nor a refusal keeps anything open."""
    before = len(os.listdir("/proc/self/fd"))
    _read(root, "html/stage1/up.html")
    for path in ("../secret", "html", "missing/x"):
        with pytest.raises(OSError, match="open"):
            _read(root, path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_edits_are_told_by_their_times(root: Path) -> None:
    """What was written to since is named, with the directory that got a name, and a bound is kept and said."""
    for path in [root, *root.rglob("*")]:
        os.utime(path, ns=(10, 10), follow_symlinks=False)
    os.utime(root / "html" / "t1-1.html", ns=(30, 30))
    os.utime(root / "html" / "stage1", ns=(30, 30))
    with FileSystem().open_root(root) as opened:

        def look(*, most_entries: int = 100, most_paths: int = 10) -> Edits:
            bounds = {"most_entries": most_entries, "most_paths": most_paths}
            return edited_since(opened, ["html", "missing"], 20, lambda _: None, **bounds)

        assert {one.path for one in look().found} == {"html/t1-1.html", "html/stage1/"}
        assert {one.kind for one in look().found} == {EditKind.WRITTEN}
        assert not look().is_cut
        assert look(most_entries=2).is_cut
        assert len(look(most_paths=1).found) == 1
