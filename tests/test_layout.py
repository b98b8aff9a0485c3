"""The names on disk: what a run writes is in the layout, and the longest names that are let through fit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

import conveyor
from conveyor import layout
from conveyor.errors import ConfigurationError
from support.workspace import DIRECTORIES, Workspace, make_workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FIXED = {layout.PEER, layout.VERDICT, layout.QA_FILE, layout.HISTORY, layout.PROGRESS, layout.POST_SCRIPT_LOG}
_CALLS = ("symlink", "mkdir", "rename", "link", "open")


def _known_names() -> set[str]:
    """The names that may stand in ``.conveyor`` of a request with the usual directories."""
    suffixes = (*layout.STAGED, layout.PEER_SUFFIX, layout.MANIFEST, layout.MANIFEST + layout.JOURNAL)
    fixed = (
        _FIXED
        | {layout.temporary_name(name) for name in _FIXED}
        | {layout.claim(1), layout.claim(2), layout.qa_claim(1)}
    )
    return fixed | {name + suffix for name in DIRECTORIES for suffix in suffixes}


def _made_in_meta_dir(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names that any call of this process gives to something in a ``.conveyor``, as they come."""
    names: set[str] = set()

    def noting(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            descriptor = options.get("dst_dir_fd", options.get("dir_fd"))
            makes = real.__name__ != "open" or arguments[1] & os.O_CREAT
            if makes and descriptor is not None and os.readlink(f"/proc/self/fd/{descriptor}").endswith("/.conveyor"):
                made = arguments[0] if real.__name__ in ("mkdir", "open") else arguments[1]
                names.add(made.partition("/")[0])
            return real(*arguments, **options)

        return call

    for name in _CALLS:
        monkeypatch.setattr(os, name, noting(getattr(os, name)))
    return names


def _out_and_home(workspace: Workspace, **options: Any) -> set[str]:
    """Deliver, fail and deliver again, and retrieve; the names that stand in ``.conveyor`` between these."""
    names: set[str] = set()
    for command in (conveyor.deliver, conveyor.qa_fail, conveyor.deliver, conveyor.retrieve):
        command(workspace.metadata, **options).raise_for_error()
        for end in (workspace.spool, workspace.qa):
            names |= set(os.listdir(end / layout.META_DIR)) if (end / layout.META_DIR).is_dir() else set()
    return names


@pytest.mark.parametrize("way", ["rename", "copy"])
def test_every_name_in_the_meta_directory_is_in_the_layout(
    workspace: Workspace, memory_folder: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a run puts into ``.conveyor``, for a moment or to stay, has a name of the layout."""
    if way == "copy":
        workspace = make_workspace(workspace.root / "other", qa_root=memory_folder)
    config = conveyor.load_config({"qa_root": str(workspace.qa.parents[1])})
    made = _made_in_meta_dir(monkeypatch)
    found = _out_and_home(workspace, config=config)
    assert made | found <= _known_names()
    staged = {layout.PEER, layout.claim(1), f"rawdata{layout.LINK}"}
    if way == "copy":
        staged |= {f"rawdata{layout.INCOMING}", f"rawdata{layout.OUTGOING}", f"rawdata{layout.COMMITTED}"}
    assert staged <= made
    assert {layout.HISTORY, layout.VERDICT} <= found
    assert (f"rawdata{layout.MANIFEST}" in found) is (way == "copy")


@pytest.mark.parametrize("way", ["rename", "copy"])
def test_the_longest_directory_name_goes_out_and_home(tmp_path: Path, memory_folder: Path, way: str) -> None:
    """A directory whose name has as many bytes as the limit allows goes out and home, whichever way it takes."""
    name = "n" * layout.DIRECTORY_NAME_LIMIT
    workspace = make_workspace(tmp_path / "workspaces", qa_root=memory_folder if way == "copy" else None)
    (workspace.spool / "working").rename(workspace.spool / name)
    table = f'[capabilities.long]\nworkflows = ["long"]\nqa_area = "qa2"\ndirectories = ["{name}"]\nweblog = false\n'
    (tmp_path / "conveyor.toml").write_text(table)
    config = conveyor.load_config({"qa_root": str(workspace.qa.parents[1])}, tmp_path / "conveyor.toml")
    delivered = conveyor.deliver(workspace.metadata, capability="long", config=config).raise_for_error()
    ways = {step.detail for step in delivered.steps if step.step == "deliver"}
    assert ways == {"copy" if way == "copy" else "exchange"}
    assert (workspace.qa / name / "folder" / "file.txt").is_file()
    conveyor.retrieve(workspace.metadata, capability="long", config=config).raise_for_error()
    assert not (workspace.spool / name).is_symlink()
    assert (workspace.spool / name / "folder" / "file.txt").is_file()
    assert os.listdir(workspace.spool / layout.META_DIR) == [layout.HISTORY]


def test_a_longer_directory_name_is_refused_where_it_is_declared() -> None:
    """One byte more is a mistake in the configuration, in characters of several bytes too."""
    limit = layout.DIRECTORY_NAME_LIMIT
    for name in ("n" * (limit + 1), "ä" * (limit // 2) + "nn"):
        with pytest.raises(ConfigurationError, match=f"at most {limit} bytes"):
            conveyor.Directory(name)


def test_the_limits_follow_from_the_names() -> None:
    """The longest name that is made from the longest that is let through has as many bytes as a name may have."""
    suffixes = (*layout.STAGED, layout.PEER_SUFFIX, layout.MANIFEST, layout.MANIFEST + layout.JOURNAL)
    assert max(len("n" * layout.DIRECTORY_NAME_LIMIT + suffix) for suffix in suffixes) == layout.NAME_MAX
    longest = "r" * layout.REQUEST_NAME_LIMIT
    assert max(len(name) for name in layout.weblog_staged(longest)) == layout.NAME_MAX
    assert {layout.weblog_staged_for(name) for name in layout.weblog_staged(longest)} == {longest}
    assert layout.weblog_staged_for(longest) is None
