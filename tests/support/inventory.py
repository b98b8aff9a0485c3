"""An inventory of a tree: everything about every entry that a conveyance must keep, in a form that can be compared."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

_HISTORY = b"history.jsonl"
_RUN = re.compile(rb'"run": "(\w+)"')
_BLOCK = 1 << 20  # bytes


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

    What a refused run leaves is left out: its lines in the request's history, and nothing else.
    """
    items: dict[bytes, Item] = {}
    top = os.fsencode(root / inside)
    for folder, folders, files in os.walk(top):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            if not _is_left_by_a_refusal(path):
                items[os.path.relpath(path, os.fsencode(root))] = _item(path)
    items[os.path.relpath(top, os.fsencode(root))] = _item(top)
    return items


def _is_left_by_a_refusal(path: bytes) -> bool:
    """Tell whether this is a history of refusals only, or the folder that was made for one."""
    if path.endswith(b"/.conveyor") and os.path.isdir(path) and not os.path.islink(path):
        return os.listdir(path) == [_HISTORY] and _is_left_by_a_refusal(os.path.join(path, _HISTORY))
    return _is_history(path) and not _without_refusals(path)


def _is_history(path: bytes) -> bool:
    return path.endswith(b"/.conveyor/" + _HISTORY) and os.path.isfile(path) and not os.path.islink(path)


def _without_refusals(history: bytes) -> bytes:
    """Return the lines of a history, but for those of runs that were refused."""
    lines = Path(os.fsdecode(history)).read_bytes().splitlines(keepends=True)
    refused = {run for line in lines if b'"event": "refused"' in line for run in _RUN.findall(line)}
    return b"".join(line for line in lines if refused.isdisjoint(_RUN.findall(line)))


def _digest(path: bytes, size: int) -> str:
    """A digest of what is not zero, block by block: the same for holes and for zeros, of a file longer than any memory."""
    digest, at = hashlib.sha256(), 0
    with Path(os.fsdecode(path)).open("rb", buffering=0) as file:
        while at < size:
            if size > _BLOCK:
                try:
                    at = os.lseek(file.fileno(), at, os.SEEK_DATA) // _BLOCK * _BLOCK
                except OSError as error:
                    if error.errno == errno.ENXIO:  # there is none any more
                        break
                    raise
            file.seek(at)
            block = file.read(_BLOCK)
            if block.count(0) < len(block):
                digest.update(b"%d:" % at + block)
            at += _BLOCK
    return digest.hexdigest()


def _item(path: bytes) -> Item:
    status = os.lstat(path)
    kind, mode, owner = stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
    if _is_history(path):
        lines = _without_refusals(path)
        return Item(kind, mode, owner, len(lines), 0, 0, status.st_nlink, hashlib.sha256(lines).hexdigest())
    content = ""
    if stat.S_ISLNK(status.st_mode):
        content = os.fsdecode(os.readlink(path))
    elif stat.S_ISREG(status.st_mode):
        content = _digest(path, status.st_size)
    is_folder = stat.S_ISDIR(status.st_mode)
    return Item(
        kind,
        mode,
        owner,
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
