"""What goes to and fro between the process that hands out work and those that do it."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Job(IntEnum):
    """What there is to do."""

    FOLDERS = 0  # several folders of one parent, by name; handed out one by one
    FOLDER = 1  # one folder: its names, and what they name where they are few
    RUN = 2  # a part of the names of a folder that has many
    BIG = 3  # one big file
    GROUP = 4  # all names of one file that has several


class Task(NamedTuple):
    """One piece of work. ``path`` is a folder, from the tree's root, "" for that; ``names`` are joined by NUL.

    ``own`` and ``known`` are what the manifest says of the folder and of this part of it; ``fresh`` says that the copy has
    nothing of it yet.
    """

    job: Job
    path: str
    names: str = ""
    chunk: int = 0
    target_is_new: bool = False
    dir_record: bytes = b""
    recorded: bytes = b""


class ManifestUpdate(NamedTuple):
    """What the manifest is to say of a part of a folder: instead of what it said, or besides."""

    path: str
    chunk: int
    segment: bytes
    replace: bool


class BlockDigests(NamedTuple):
    """Blocks of a big file have been copied."""

    path: str
    name: str
    identity: bytes
    digests: bytes
    first: bool


class HardlinkSeen(NamedTuple):
    """A file with several names was met under one of them; ``proven`` if this name needs no copying."""

    inode: int
    path: str
    chunk: int
    name: str
    proven: bool


class Difference(NamedTuple):
    """Something worth telling about an entry: ``what`` is one of the words of the visit that found it."""

    path: str
    change: str


class SpaceNeeded(NamedTuple):
    """What a copy still needs: bytes of space, and inodes."""

    bytes: int
    inodes: int


Message = Task | ManifestUpdate | BlockDigests | HardlinkSeen | Difference | SpaceNeeded
