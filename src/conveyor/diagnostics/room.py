"""What each file system has left."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from conveyor.api.sizes import size_text
from conveyor.diagnostics.findings import error, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.diagnostics.findings import Finding
    from conveyor.diagnostics.workspace import Area, Workspace
    from conveyor.filesystem.posix import DirFd, Space

#: What is as good as nothing: a conveyance needs some small files and links.
_FULL_BYTES, _FULL_INODES = 10_000_000, 100


def space(scene: Workspace) -> Iterator[Finding]:
    """What each file system has left. A move needs next to nothing; a weblog, or a copy to another file system, does."""
    settings = scene.visit.config.values
    for label, folder in _file_systems(scene):
        left = scene.visit.environment.fs.space(folder)
        text = f"{size_text(left.free)} of {size_text(left.size)} free"
        if left.free_inodes is not None:
            text += f", and {left.free_inodes:,} inodes"
        if _falls_below(left, _FULL_BYTES, _FULL_INODES):
            advice = "make room; until then an interrupted conveyance cannot be finished, and nothing is lost"
            yield error(
                "space", label, f"next to nothing is left: {text}", advice, f"df -h -i {shlex.quote(str(folder.path))}"
            )
        elif _falls_below(left, settings.min_free_bytes, settings.min_free_inodes):
            least = f"{size_text(settings.min_free_bytes)} and {settings.min_free_inodes:,} inodes are wanted"
            advice = "make room for weblogs and copies, or lower min_free_bytes or min_free_inodes"
            yield warning("space", label, f"{text}; {least}", advice)
        else:
            yield ok("space", label, f"{text} (quotas do not show in that)")


def _falls_below(left: Space, least: int, least_inodes: int) -> bool:
    return left.free < least or (left.free_inodes is not None and left.free_inodes < least_inodes)


def _file_systems(scene: Workspace) -> Iterator[tuple[str, DirFd]]:
    """One folder on each file system, and which areas are on it."""
    found: dict[int, list[Area]] = {}
    for area in scene.areas:
        if area.entry:
            found.setdefault(area.entry.device, []).append(area)
    for areas in found.values():
        names = dict.fromkeys(area.label for area in areas)
        if areas[0].folder is not None:
            yield f"file system of {', '.join(names)}", areas[0].folder
