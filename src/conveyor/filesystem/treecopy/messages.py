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
    part: int = 0
    fresh: bool = False
    own: bytes = b""
    known: bytes = b""


class Row(NamedTuple):
    """What the manifest is to say of a part of a folder: instead of what it said, or besides."""

    path: str
    part: int
    segment: bytes
    replace: bool


class Blocks(NamedTuple):
    """Blocks of a big file have been copied."""

    path: str
    name: str
    identity: bytes
    digests: bytes
    first: bool


class Linked(NamedTuple):
    """A file with several names was met under one of them; ``proven`` if this name needs no copying."""

    inode: int
    path: str
    part: int
    name: str
    proven: bool


class Found(NamedTuple):
    """Something worth telling about an entry: ``what`` is one of the words of the visit that found it."""

    path: str
    what: str


class Need(NamedTuple):
    """What a copy still needs: bytes of space, and inodes."""

    bytes: int
    inodes: int


Message = Task | Row | Blocks | Linked | Found | Need
