"""An inventory of a tree: everything about every entry that a conveyance must keep, in a form that can be compared."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Item:
    """One entry. ``content`` is a digest, a link's text, or nothing; ``blocks`` tells holes from zeros."""

    kind: int
    mode: int
    owner: tuple[int, int]
    size: int
    blocks: int
    modified: int
    links: int
    content: str


def inventory(root: Path, *, inside: str = ".") -> dict[bytes, Item]:
    """Every entry below ``root``/``inside``, by its path relative to ``root``, links not followed.

    The history of a request is left out, and a ``.conveyor`` that has nothing else: a run that was refused leaves a line.
    """
    items: dict[bytes, Item] = {}
    top = os.fsencode(root / inside)
    for folder, folders, files in os.walk(top):
        for name in [*folders, *files]:
            if _is_history(folder, name) or _has_history_alone(os.path.join(folder, name)):
                continue
            path = os.path.join(folder, name)
            items[os.path.relpath(path, os.fsencode(root))] = _item(path)
    items[os.path.relpath(top, os.fsencode(root))] = _item(top)
    return items


def _is_history(folder: bytes, name: bytes) -> bool:
    return name == b"history.jsonl" and folder.endswith(b"/.conveyor")


def _has_history_alone(path: bytes) -> bool:
    is_folder = path.endswith(b"/.conveyor") and os.path.isdir(path) and not os.path.islink(path)
    return is_folder and os.listdir(path) == [b"history.jsonl"]


def _item(path: bytes) -> Item:
    status = os.lstat(path)
    content = ""
    if stat.S_ISLNK(status.st_mode):
        content = os.fsdecode(os.readlink(path))
    elif stat.S_ISREG(status.st_mode):
        content = hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest()
    is_folder = stat.S_ISDIR(status.st_mode)
    return Item(
        kind=stat.S_IFMT(status.st_mode),
        mode=stat.S_IMODE(status.st_mode),
        owner=(status.st_uid, status.st_gid),
        size=0 if is_folder else status.st_size,
        blocks=0 if is_folder else status.st_blocks,
        modified=status.st_mtime_ns,
        links=0 if is_folder else status.st_nlink,
        content=content,
    )


def comparable(items: dict[bytes, Item]) -> dict[bytes, tuple[object, ...]]:
    """An inventory without what another file system may count otherwise: blocks, but for whether a file has holes."""
    return {
        path: (item.kind, item.mode, item.owner, item.size, item.modified, item.links, item.content, _has_hole(item))
        for path, item in items.items()
    }


def _has_hole(item: Item) -> bool:
    """Whether a file takes much less space than its size says."""
    return item.blocks * 512 < item.size // 2
