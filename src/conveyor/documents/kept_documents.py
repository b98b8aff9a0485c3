"""The documents that lie beside the data, in ``.conveyor``, in an area, and in the weblog cache."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from conveyor.documents.field_types import Count, Phase, Text, Words
from conveyor.values import frozen


@frozen
class Progress:
    """The progress of the copy of a directory at a ``time`` (UTC).

    ``phase`` is ``survey``, ``copy``, ``check``, ``read back``, ``remove`` or ``verify``; what follows is of it
    alone. ``files`` are entries of every kind but directories, the totals None as long as they are not known. ``rate`` is in
    bytes a second; it and ``seconds_left`` are None if they cannot be told yet.
    """

    directory: Text
    phase: Phase
    files: Count
    bytes: Count
    total_files: Count | None
    total_bytes: Count | None
    rate: Count | None
    seconds_left: Count | None
    time: Text


class JudgementEntry(TypedDict):
    """The verdict of a person on a request."""

    verdict: Literal["pass", "fail"]
    time: Text
    by: Text | None
    reason: Text | None


class AssignmentEntry(TypedDict):
    """The person to whom a request was assigned, by which account and when."""

    to: Text
    by: Text | None
    time: Text


class ReadyHead(TypedDict):
    """What says that a READY is Conveyor's, and of which request."""

    schema: Literal["conveyor-ready/1"]
    request: Text


class Ready(ReadyHead):
    """``READY`` in a QA folder: a delivery is complete."""

    project_code: Text | None
    capability: Text
    delivered: Text
    spool: Text
    directories: list[Text]
    weblog: Text | None
    weblog_page: NotRequired[Text | None]
    ways: NotRequired[dict[Text, Text]]
    bytes: NotRequired[Count]
    version: Text


class Verdict(TypedDict):
    """``qa-fail.json`` in ``.conveyor``: the QA of a request failed."""

    schema: Literal["conveyor-verdict/1"]
    request: Text
    verdict: Literal["qa-fail"]
    capability: Text
    time: Text


class AreaMarker(TypedDict):
    """``.conveyor-area`` in an area, made once: the file system that it is on is mounted."""

    schema: Literal["conveyor-area/1"]
    id: Words
    made: Text


class ProgressHead(TypedDict):
    """The keys of ``progress.json`` in ``.conveyor`` beside those of :class:`Progress`; ``claim`` is a claim's token."""

    schema: Literal["conveyor-progress/1"]
    claim: Text


class WeblogReceipt(TypedDict):
    """The receipt beside a cached weblog; ``digest`` is the tar's, behind the name of its hash.

    Release 0.1.0 wrote ``sha256`` in place of it, and no ``entries`` and no ``page``.
    """

    schema: Text
    tar: Text
    digest: NotRequired[Text]
    sha256: NotRequired[Text]
    bytes: Count
    members: Count
    spool: Text
    entries: NotRequired[Count]
    page: NotRequired[Text | None]


@frozen
class RecordedProject:
    """The entries, by their inodes, that have a project ID; ``handed_on`` to what is made in them, if directories."""

    number: Count
    handed_on: bool
    inodes: list[Count]


class ProjectIds(TypedDict):
    """``<name>.projects`` in ``.conveyor``: the project IDs that a directory had in spool.

    The first is that of all that is not among the others.
    """

    schema: Literal["conveyor-project-ids/1"]
    projects: Annotated[list[RecordedProject], Field(min_length=1)]


class NoteEntry(TypedDict):
    """A note on a request: by which account, and when."""

    text: Words
    by: Text | None
    time: Text


class QaRecord(TypedDict):
    """``qa.json`` in ``.conveyor``: what people said of a request since it was last delivered; notes stay for longer."""

    schema: Literal["conveyor-qa/1"]
    request: Text
    assigned: AssignmentEntry | None
    notes: list[NoteEntry]
    verdict: JudgementEntry | None
