"""Every name that Conveyor writes on disk, and the limits that follow from them.

A name that is not made from this module is not Conveyor's. Released names never change their meaning: requests that an
older release left in a QA area are brought home by them.
"""

from __future__ import annotations

import os
import re
from binascii import crc32
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Bytes that a name may have on Linux: ``NAME_MAX`` of ``limits.h``. Lustre, ext4, xfs, btrfs, tmpfs and NFS have the same.
NAME_MAX = 255


def temporary_name(name: str) -> str:
    """The name under which a file is written before it is renamed into place; a crash may leave one behind."""
    return f".{name}.new"


def own_temporary_name(name: str, token: str) -> str:
    """The temporary name of a file that others may be writing too: no two have the same."""
    return temporary_name(f"{name}.{token}")


def is_own_temporary_name(name: str) -> bool:
    """Tell whether a name is one of :func:`own_temporary_name`, of whatever file."""
    return re.fullmatch(r"\..+\.[0-9a-f]{16}\.new", name, re.DOTALL) is not None


# --- In a request's directory in spool, and in its QA folder.

#: Conveyor's own directory at each end. Everything below stands in it, unless it says otherwise.
META_DIR = ".conveyor"
#: A file of one line: the way from here to the other end's directory. Release 0.1.0 made it a link, which is read too;
#: but two links that lead to each other's directories are a loop to every tool that follows links.
PEER = "peer"
#: What the workflow wrote, which a conveyance starts from.
METADATA = "metadata.json"
#: The receipt in the QA folder itself, of areas that have no marker of their own.
READY = "READY"
VERDICT = "qa-fail.json"
#: What people said of a request: verdict, notes, assignment.
QA_FILE = "qa.json"
HISTORY = "history.jsonl"
PROGRESS = "progress.json"
POST_SCRIPT_LOG = "post-script.jsonl"


def claim(number: int) -> str:
    """The name of a claim, from 1 on."""
    return f"claim.{number}"


def qa_claim(number: int) -> str:
    """The name of a claim on what people said of a request, from 1 on: held for the moment in which it is changed."""
    return f"qa-claim.{number}"


# --- Beside a directory's name, for the time being.

#: A link to the directory's place at the other end, for as long as a bridge leads over it.
PEER_SUFFIX = ".peer"
#: A link that is about to be put in place; a copy that is being made; a source or a copy on its way out.
LINK, INCOMING, OUTGOING = ".link", ".incoming", ".outgoing"
#: The commit mark of a verified copy, from before it is swapped in until its source is known to be as it was read.
COMMITTED = ".copied"
#: A directory for a rename that cannot succeed, which tells whether one could.
PROBE = ".probe"
#: Begins the ending of what a conveyance could not remove, and left behind; a number follows.
_LEFT_BEHIND = ".left."
#: What a conveyance stages under a directory's name has one of these suffixes.
STAGED = (LINK, INCOMING, OUTGOING, COMMITTED, PROBE)
#: The manifest of a copy, in spool: what was copied and verified. It stays as long as the request is out.
MANIFEST = ".manifest"
#: What will be the manifest, while digests are added to it: it takes the other's place in one step.
MANIFEST_DRAFT = ".digests"
#: The project IDs that a directory had, in spool for as long as it is out; the mark that IDs are being changed.
PROJECTS, RETAGGING = ".projects", ".retagging"
#: SQLite's rollback journal, beside its database (sqlite.org/tempfiles.html).
JOURNAL = "-journal"


def left_behind(name: str, number: int) -> str:
    """The name of what is left behind of a directory, from 1 on: its source was copied, and not all of it can be removed."""
    return f"{name}{_LEFT_BEHIND}{number}"


def left_behind_of(name: str) -> str | None:
    """The directory that a name in ``.conveyor`` is left behind of; None for any other name."""
    directory, _, number = name.rpartition(_LEFT_BEHIND)
    return directory if directory and number.isdecimal() else None


#: Begins the ending of the source of a copy that stays for readers on other hosts; a number follows. The directory itself
#: stands in a directory of that name.
_LINGERING = ".lingering."


def lingering(name: str, number: int) -> str:
    """The name of what holds the source of a copy of a directory for a while, from 1 on."""
    return f"{name}{_LINGERING}{number}"


def lingering_of(name: str) -> str | None:
    """The directory that a name in ``.conveyor`` holds the source of a copy of; None for any other name."""
    directory, _, number = name.rpartition(_LINGERING)
    return directory if directory and number.isdecimal() else None


def written_meanwhile(name: str, number: int) -> str:
    """The name of what was written to a copy before it was taken back, from 1 on. Nothing removes it."""
    return f"{name}.written.{number}"


#: Begins the name of a file that tells what an area's file system takes; it is removed as soon as it is open.
SCRATCH = ".conveyor-scratch."


def held_scratch(spool: Path) -> str:
    """The name in a QA area of what a run that holds the request of a spool folder tries there."""
    return f"{SCRATCH}{crc32(os.fsencode(spool)):08x}"


_COPY_SUFFIXES = (MANIFEST, MANIFEST + JOURNAL, MANIFEST_DRAFT, MANIFEST_DRAFT + JOURNAL)
_SUFFIXES = (*STAGED, PEER_SUFFIX, *_COPY_SUFFIXES, PROJECTS, RETAGGING)


def longest_suffix() -> int:
    """The length, in bytes, of the longest suffix that a directory's name gets in ``.conveyor``."""
    return max(len(suffix) for suffix in _SUFFIXES)


#: Bytes that the name of a directory may have, so that whatever brings it home fits beside it.
DIRECTORY_NAME_LIMIT = NAME_MAX - longest_suffix()


def reserved_names(marker: str = READY) -> frozenset[str]:
    """The names that no conveyed directory may have; ``marker`` is that of its QA area."""
    return frozenset({META_DIR, METADATA, marker, temporary_name(marker), ".", ".."})


# --- In the weblog cache: a directory a request.

#: What Conveyor knows of a cached weblog, beside its tar and its tree.
WEBLOG_RECEIPT = ".conveyor.json"
_WEBLOG_SUFFIXES = (".conveyor", ".replaced")


def weblog_staged(request: str) -> tuple[str, str]:
    """The names of the weblog that is being made or removed, and of the one that is being replaced."""
    made, replaced = _WEBLOG_SUFFIXES
    return f".{request}{made}", f".{request}{replaced}"


def weblog_staged_for(name: str) -> str | None:
    """The request that a name in the cache is staged for; None for any other name."""
    for suffix in _WEBLOG_SUFFIXES:
        request = name.removeprefix(".").removesuffix(suffix)
        if request and name == f".{request}{suffix}":
            return request
    return None


#: Bytes that the name of a request may have, so that its weblog can be cached.
REQUEST_NAME_LIMIT = NAME_MAX - max(len(f".{suffix}") for suffix in _WEBLOG_SUFFIXES)

# --- In the folder of a DAG.

DAG = "conveyor.dag"
DAG_MANIFEST = "dag.json"
DAG_SUBMIT = "request.sub"
DAG_STATUS = "conveyor.status"
DAG_SUMMARY = "summary.json"
DAG_RESULTS = "results"
DAG_LOGS = "logs"

# --- In each area.

#: A file made once, by which an area is told from the directory that it is mounted on.
AREA_MARKER = ".conveyor-area"

# --- In each area, while the doctor tries things there.

#: Begins the name of a scratch directory, and of the link that says who made it; a random token follows.
DOCTOR_SCRATCH = ".conveyor-doctor."

# --- In the spool area, if anybody is told of anything.

#: The outbox of notices.
OUTBOX = ".conveyor-notices"
#: In it: a file for each notice and receiver that waits; a file a request with the states that were told of; a line for each
#: notice that was sent or given up.
WAITING, TOLD, SENT_LOG = "waiting", "told", "sent.jsonl"
#: Begins the name of the directory of a run that sends, which takes notices out of ``waiting`` by a rename, and of the file
#: that says who it is; a random token follows.
SENDING, SENDER = "sending.", "sender."
