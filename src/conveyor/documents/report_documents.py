"""What the commands print with ``--json`` that tell of what was done: history, report, notify."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from conveyor.documents.field_types import Count, ErrorEntry, Text, Words, as_error, as_fields


class RunEntryDocument(TypedDict):
    """One run of a command on a request, or what a person said. Times are UTC, lengths of time in seconds."""

    time: Text
    command: Text
    outcome: Annotated[
        Text | None,
        Field(
            description="done, stopped, refused; pass, fail, noted, assigned; null: it never came to its end, or not yet."
        ),
    ]
    account: Text | None
    host: Text
    error: Text | None
    reason: Text | None
    ended: Text | None
    seconds: float | None
    bytes: Count | None
    way: Annotated[list[Text], BeforeValidator(list)]


class HistoryDocument(TypedDict):
    """What was done to one request, the first first."""

    schema: Literal["conveyor/1"]
    command: Literal["history"]
    ok: Literal[True]
    exit_code: Literal[0]
    error: None
    metadata: Words
    runs: list[Annotated[RunEntryDocument, BeforeValidator(as_fields)]]


class SpreadEntry(TypedDict):
    """The median and the worst of so many lengths of time, in seconds."""

    count: Count
    median: float | None
    worst: float | None


class DayEntry(TypedDict):
    """The counts of one day (UTC)."""

    date: Text
    delivered: Count
    passed: Count
    failed: Count
    refused: Count


class ReportEntry(TypedDict):
    """What was done between two times (UTC). refused and stopped count runs by the code of their error."""

    since: Text
    until: Text
    delivered: Count
    retrieved: Count
    passed: Count
    failed: Count
    refused: dict[Text, Count]
    stopped: dict[Text, Count]
    deliveries: Annotated[SpreadEntry, BeforeValidator(as_fields)]
    turnaround: Annotated[SpreadEntry, BeforeValidator(as_fields)]
    bytes: Count
    bytes_per_second: float | None
    days: Annotated[list[Annotated[DayEntry, BeforeValidator(as_fields)]], BeforeValidator(list)]
    unread: Annotated[dict[Text, Text], Field(description="The requests whose history could not be read, and why.")]


class ReportDocument(TypedDict):
    """A report of what was done in a workspace."""

    schema: Literal["conveyor/1"]
    command: Literal["report"]
    ok: bool
    exit_code: Literal[0, 74]
    error: Annotated[ErrorEntry | None, BeforeValidator(as_error)]
    report: Annotated[ReportEntry, BeforeValidator(as_fields)]


class AttemptEntry(TypedDict):
    """What came of one notice for one receiver in this run."""

    event: Words
    request: Words
    receiver: Words
    key: Words
    outcome: Annotated[Literal["sent", "later", "given up"], Field(description="later: it is tried again.")]
    problem: Text | None


class NotifyDocument(TypedDict):
    """What notify sent, what it could not send, and how many notices wait now."""

    schema: Literal["conveyor/1"]
    command: Literal["notify"]
    ok: bool
    exit_code: Literal[0, 75]
    error: Annotated[ErrorEntry | None, BeforeValidator(as_error)]
    notices: list[Annotated[AttemptEntry, BeforeValidator(as_fields)]]
    waiting: Count
