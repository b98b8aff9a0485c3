"""What people said of a request: to whom it is assigned, notes, and the verdict of its QA, in ``.conveyor/qa.json``.

One small document, which is replaced by a rename. Two people who change it at once lose nothing: each takes a claim of its
own for the moment of the change, beside that of the conveyances, which may be held for hours.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

from conveyor.clock import now
from conveyor.documents.codec import dump, load
from conveyor.documents.kept_documents import AssignmentEntry, JudgementEntry, NoteEntry, QaRecord
from conveyor.engine.claim import Claim
from conveyor.errors import ConflictError, LockedError
from conveyor.filesystem.posix import Kind
from conveyor.layout import QA_FILE, qa_claim, temporary_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from conveyor.engine.endpoints import Endpoint
    from conveyor.engine.host import Host
    from conveyor.filesystem.posix import DirFd, FileSystem

    #: A change of what people said: from all of it to the keys that are others now.
    Change = Callable[[QaRecord], dict[str, Any]]

#: Characters that a person may write at a time.
WORDS_LIMIT = 4000
_LIMIT = 16 * 1024 * 1024  # bytes
_PATIENCE, _PAUSE = 10.0, 0.02  # seconds


def read_qa_record(fs: FileSystem, meta: DirFd) -> QaRecord | None:
    """Return what people said of the request of a ``.conveyor``; None if nobody said anything.

    Raises :class:`OSError`, and :class:`~conveyor.errors.ConflictError` if the document is damaged.
    """
    content = _read(fs, meta)
    return None if content is None else _parse(content, meta)


def change_qa_record(end: Endpoint, host: Host, request: str, change: Change) -> None:
    """Change what people said of a request. Keys that a newer release wrote stay as they are.

    Raises :class:`OSError`, :class:`~conveyor.errors.ConflictError` if the document is damaged, and
    :class:`~conveyor.errors.LockedError` if others held it for too long.
    """
    with _held(end, host):
        content = _read(end.fs, end.meta)
        if content is None:
            before = QaRecord(schema="conveyor-qa/1", request=request, assigned=None, notes=[], verdict=None)
            whole: dict[str, Any] = {**before}
        else:
            before, whole = _parse(content, end.meta), json.loads(content)
        after = {**whole, **change(before)}
        if after != whole:
            end.fs.write(end.meta, QA_FILE, dump(after))


def drop_half_written(end: Endpoint, host: Host) -> bool:
    """Remove the half of a document that a command left which died while it wrote it; True if there was one.

    Raises :class:`OSError`, and :class:`~conveyor.errors.LockedError` if others held it for too long.
    """
    half = temporary_name(QA_FILE)
    if end.meta_kind(half) is not Kind.FILE:
        return False
    with _held(end, host):
        is_left = end.meta_kind(half) is Kind.FILE  # else it was being written, and is in its place by now
        if is_left:
            end.fs.unlink(end.meta, half)
    return is_left


def assigned(to: str, by: str) -> Change:
    """Return the change that assigns a request to somebody."""
    return lambda _: {"assigned": AssignmentEntry(to=to, by=by, time=now())}


def noted(text: str, by: str) -> Change:
    """Return the change that adds a note."""
    return lambda before: {"notes": [*before["notes"], NoteEntry(text=text, by=by, time=now())]}


def judged(verdict: Literal["pass", "fail"], by: str, reason: str | None) -> Change:
    """Return the change that gives a verdict, in the place of an earlier one."""
    return lambda _: {"verdict": JudgementEntry(verdict=verdict, time=now(), by=by, reason=reason)}


def begin_again(_: QaRecord) -> dict[str, Any]:
    """Return the change for a request that is delivered again: nobody has judged that yet."""
    return {"verdict": None}


def _read(fs: FileSystem, meta: DirFd) -> bytes | None:
    return fs.read(meta, QA_FILE, limit=_LIMIT) if fs.kind(meta, QA_FILE) is Kind.FILE else None


def _parse(content: bytes, meta: DirFd) -> QaRecord:
    try:
        return load(QaRecord, content)
    except ValueError:
        raise ConflictError(
            f"{meta.path / QA_FILE} is damaged: what people said of this request cannot be told",
            hint="look at it, move it away, then run the same command",
        ) from None


@contextlib.contextmanager
def _held(end: Endpoint, host: Host) -> Iterator[None]:
    """Hold what people said of a request: others do so for a moment only, which is waited for."""
    until = time.monotonic() + _PATIENCE
    with contextlib.ExitStack() as stack:
        while True:
            try:
                claim = stack.enter_context(Claim(end, host, names=qa_claim))
                break
            except LockedError as error:
                if time.monotonic() >= until:
                    raise _held_error(end, error) from None
            time.sleep(_PAUSE)
        claim.used = True
        yield


def _held_error(end: Endpoint, error: LockedError) -> LockedError:
    return LockedError(
        f"somebody else changes what people said of {end.path}: {error.message}",
        hint="run the same command again; if that one's host is gone for good, see 'conveyor unlock --help'",
    )
