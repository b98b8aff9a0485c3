"""Every JSON document that Conveyor writes or reads, as a type that pydantic checks; the published schema is made from them.

What is written is exact. What is read may have keys that this release does not know, since a newer one may have written
them; it is refused as a whole if a key that is needed is missing or wrong.

The types are dictionaries with known keys, or frozen values, and no pydantic models, which take ten times as long to define:
each start of the program would pay for that, though it checks few documents or none.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, TypeVar, cast

from pydantic import BeforeValidator, Field, InstanceOf
from typing_extensions import TypedDict

from conveyor.errors import ConveyorError, tree
from conveyor.settings.model import Settings
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import TypeAdapter


def _plain(value: Any) -> Any:
    """Return a member of a StrEnum as plain text, which a Literal asks for before pydantic 2.8."""
    return str(value) if isinstance(value, str) else value


def _fields(value: Any) -> Any:
    """Return the fields of a frozen value of the engine that stands where a dictionary is to be."""
    return value if isinstance(value, dict) else vars(value)


def _verified(value: Any) -> Any:
    """Return a result of a verification as a dictionary, with what follows from it."""
    return value if isinstance(value, dict) else {**vars(value), "result": value.result}


def _error(value: Any) -> Any:
    is_error = isinstance(value, ConveyorError)
    return {"code": value.code, "message": value.message, "hint": value.hint} if is_error else value


def _codes(schema: dict[str, Any]) -> None:
    """Add the codes of all errors to a schema."""
    schema["enum"] = sorted({kind.code for kind in tree()})


def _statuses(*others: int) -> Callable[[dict[str, Any]], None]:
    """Return what adds the exit statuses of all errors to a schema, and others."""

    def add(schema: dict[str, Any]) -> None:
        schema["enum"] = sorted({kind.exit_code for kind in tree()}.union(others))

    return add


#: Text that may hold a path: what is not UTF-8 in it are lone surrogates (PEP 383), which pydantic refuses in a ``str``.
Text = Annotated[str, InstanceOf()]
#: Text that is never empty.
Words = Annotated[str, Field(min_length=1), InstanceOf()]
Count = Annotated[int, Field(strict=True, ge=0)]
State = Annotated[Literal["in-spool", "in-qa", "in-transit", "broken"], BeforeValidator(_plain)]
DirectoryState = Annotated[Literal["in-spool", "in-qa", "in-transit", "missing", "broken"], BeforeValidator(_plain)]
Way = Annotated[Literal["exchange", "renames", "retag", "clone", "copy"], BeforeValidator(_plain)]
#: A newer release may have others.
Phase = Annotated[
    str,
    InstanceOf(),
    Field(json_schema_extra={"enum": ["survey", "copy", "check", "read back", "remove", "verify", "project IDs"]}),
]
ExitStatus = Annotated[int, Field(description="The exit status of the program.", json_schema_extra=_statuses(0, 1))]

_T = TypeVar("_T")


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def printed(
    kind: type[_T], command: str | None, code: int, error: ConveyorError | None = None, **content: object
) -> _T:
    """Make the document that a command prints which ends with the exit status ``code``."""
    head = {"schema": "conveyor/1", "command": command, "ok": code == 0, "exit_code": code, "error": error}
    return validate(kind, {**head, **content})


def validate(kind: type[_T], value: object) -> _T:
    """Make a document of dictionaries, lists and values of the engine. Raises :class:`ValueError` if it is none."""
    document: _T = _adapter(cast("Any", kind)).validate_python(value)
    return document


def load(kind: type[_T], content: bytes | str) -> _T:
    """Read a document. Raises :class:`ValueError` if it is none of that kind."""
    text = content if isinstance(content, str) else content.decode("utf-8", "surrogateescape")
    try:
        return validate(kind, json.loads(text))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def encode(value: Any) -> dict[str, Any]:
    """Return the fields of a value that stands in a document, for :func:`json.dumps`."""
    return value.model_dump(mode="json") if isinstance(value, Settings) else vars(value)


def dump(document: object) -> bytes:
    """Return a document as a small file that people may read too."""
    return (json.dumps(document, indent=2, ensure_ascii=False, default=encode) + "\n").encode(
        "utf-8", "surrogateescape"
    )


def dump_line(document: object) -> bytes:
    """Return a document as a line of a log."""
    return json.dumps(document, default=str).encode() + b"\n"


# What a command prints with --json.


class ErrorEntry(TypedDict):
    """The code is stable; message and hint are for people."""

    code: Annotated[str, Field(json_schema_extra=_codes)]
    message: Words
    hint: Words


class StepEntry(TypedDict):
    """One step of the plan, and what came of it. A capability may have steps of its own."""

    step: Words
    subject: Text
    outcome: Literal["planned", "done", "already", "failed"]
    detail: Annotated[str, BeforeValidator(str)]


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


class VerifiedEntry(TypedDict):
    """What became of a directory since it was copied, as paths from it. Only a whole manifest proves anything."""

    directory: Words
    result: Annotated[
        Literal["verified", "rotted", "not-verified"],
        Field(description="not-verified: not all was compared; rotted: something is not what was written."),
    ]
    manifest: Annotated[
        Literal["whole", "none", "damaged", "unknown-format"],
        Field(
            description="none: it was moved and not copied; damaged: it cannot be believed; "
            "unknown-format: another release wrote it."
        ),
    ]
    files: Annotated[Count, Field(description="Files that were read.")]
    bytes: Count
    cloned: NotRequired[
        Annotated[Count, Field(description="Files that share their extents with what they were cloned from: not read.")]
    ]
    cloned_bytes: NotRequired[Count]
    recorded: NotRequired[
        Annotated[Count, Field(description="Of the files that were read, clones that have digests from now on.")]
    ]
    recorded_bytes: NotRequired[Count]
    rotted: list[Text]
    missing: list[Text]
    changed: list[Text]
    touched: list[Text]
    new: list[Text]


class UserEntry(TypedDict):
    """One thing that a process has open of a request: a casacore table, a file, or the directory that it stands in.

    Host, pid, program and account are null if this host does not show the process: it is on another one, or in a container.
    """

    path: Words
    kind: Literal["table", "file", "directory"]
    writes: Annotated[
        bool | None, Field(description="It was opened for writing; null: that cannot be told, or it is a directory.")
    ]
    host: Text | None
    pid: int | None
    program: Text | None
    account: Text | None


class HolderEntry(TypedDict):
    """The process that holds a request, or that held it when it died; alive is null if this host cannot tell."""

    host: Text
    pid: int
    since: Text
    alive: bool | None


class LastAttemptEntry(TypedDict):
    """The last command that was run on a request; error is the code of what refused or stopped it."""

    command: Text
    outcome: Text | None
    time: Text
    host: Text | None
    account: Text | None
    error: Text | None
    reason: Text | None


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


class SeenEntry(TypedDict):
    """What an overview says of a request. Times are UTC, lengths of time in seconds, sizes in bytes."""

    name: Words
    section: Annotated[
        Literal["needs-person", "stalled", "moving", "in-qa", "computing", "in-spool"], BeforeValidator(_plain)
    ]
    trouble: Annotated[
        Annotated[
            Literal["unreadable", "orphaned", "renamed", "dangling", "needs-person", "stalled", "refused", "left-over"],
            BeforeValidator(_plain),
        ]
        | None,
        Field(description="The worst trouble of the request; null: none."),
    ]
    detail: Annotated[Text, Field(description="The trouble in words.")]
    computing: Annotated[bool, Field(description="Its workflow has not written all directories yet.")]
    project: Text | None
    workflow: Text | None
    since: Text | None
    delivered: Text | None
    age_in_qa: float | None
    holder: HolderEntry | None
    size: Count | None
    judgement: JudgementEntry | None
    assigned: AssignmentEntry | None
    last_attempt: LastAttemptEntry | None
    next_command: Annotated[list[Text], Field(description="The words of the command line to run next.")]
    to_tidy: Annotated[
        Count, Field(description="Sources of copies that stayed for readers on other hosts, and may go by now.")
    ]


class RequestEntry(TypedDict):
    """What came of the command for one request."""

    request: Text | None
    metadata: Words
    capability: Text | None
    state: Annotated[State | None, Field(description="Null if it could not be told.")]
    changed: bool
    directories: dict[Text, DirectoryState]
    spool: Text | None
    qa: Text | None
    weblog: Text | None
    weblog_page: NotRequired[
        Annotated[
            Text | None, Field(description="The weblog's index.html that is nearest to its top; null: there is none.")
        ]
    ]
    verdict: NotRequired[
        Annotated[
            Literal["qa-fail"] | None,
            Field(description="The verdict that is kept of a failed QA; null: there is none."),
        ]
    ]
    progress: NotRequired[
        Annotated[
            Progress | None,
            Field(description="In a status: how far the copy is that another process makes at this moment."),
        ]
    ]
    verified: NotRequired[
        Annotated[
            list[Annotated[VerifiedEntry, BeforeValidator(_verified)]],
            Field(description="Of verify: what became of each directory in QA."),
        ]
    ]
    users: NotRequired[
        Annotated[
            list[Annotated[UserEntry, BeforeValidator(_fields)]],
            Field(description="Of users: what processes have open of the request."),
        ]
    ]
    seen: NotRequired[
        Annotated[SeenEntry | None, Field(description="In a status: what an overview says of the request.")]
    ]
    ways: NotRequired[
        Annotated[
            dict[Text, Way],
            Field(
                description="How each directory went that was moved; in a dry run, how it would go, found by trying."
            ),
        ]
    ]
    steps: list[Annotated[StepEntry, BeforeValidator(_fields)]]
    warnings: list[Text]
    error: Annotated[ErrorEntry | None, BeforeValidator(_error)]


class RequestsDocument(TypedDict):
    """deliver, retrieve, qa-fail, pass, assign, note, status, verify, users, unlock and tidy: one entry a request."""

    schema: Literal["conveyor/1"]
    command: Annotated[
        Literal[
            "deliver",
            "retrieve",
            "qa-fail",
            "pass",
            "assign",
            "note",
            "status",
            "verify",
            "users",
            "unlock",
            "tidy",
            "resume",
        ],
        BeforeValidator(_plain),
    ]
    ok: bool
    exit_code: ExitStatus
    error: None
    dry_run: bool
    requests: list[Annotated[RequestEntry, BeforeValidator(_fields)]]


class OverviewDocument(RequestsDocument):
    """A status of the whole workspace: not_shown counts the requests that no capability claims, by workflow."""

    not_shown: dict[Text, Count]


class FailureDocument(TypedDict):
    """A failure before any request was looked at, of whatever command (null: none could be told)."""

    schema: Literal["conveyor/1"]
    command: Literal[
        "deliver",
        "retrieve",
        "qa-fail",
        "pass",
        "fail",
        "assign",
        "note",
        "history",
        "report",
        "resume",
        "status",
        "board",
        "open",
        "verify",
        "unlock",
        "tidy",
        "post-script",
        "dag",
        "doctor",
        "init-area",
        "capabilities",
        "config",
        "demo",
        "notify",
        None,
    ]
    ok: Literal[False]
    exit_code: Annotated[int, Field(description="The exit status of the program.", json_schema_extra=_statuses(1))]
    error: Annotated[ErrorEntry, BeforeValidator(_error)]
    dry_run: bool
    requests: Annotated[list[RequestEntry], Field(max_length=0)]


class DirectoryEntry(TypedDict):
    """A directory that a capability conveys."""

    name: Words
    required: bool


class WeblogEntry(TypedDict):
    """How a capability's weblog is found."""

    directory: Words
    patterns: list[Text]
    required: bool
    keep_after_qa_fail: bool


class CapabilityEntry(TypedDict):
    """A registered capability; problem says why it cannot be used."""

    name: Words
    kind: Literal["built in", "configuration", "package"]
    owner: Words
    problem: Text | None
    workflows: list[Text]
    qa_area: Text | None
    directories: list[Annotated[DirectoryEntry, BeforeValidator(_fields)]]
    weblog: Annotated[WeblogEntry, BeforeValidator(_fields)] | None


class CapabilitiesDocument(TypedDict):
    """What is registered, and by whom."""

    schema: Literal["conveyor/1"]
    command: Literal["capabilities"]
    ok: Literal[True]
    exit_code: Literal[0]
    error: None
    capabilities: list[CapabilityEntry]


class SettingEntry(TypedDict):
    """meaning_of_none says what holds if the value is null."""

    value: Annotated[Any, Field(json_schema_extra={"type": ["string", "integer", "boolean", "object", "null"]})]
    source: Words
    meaning_of_none: Text | None


class ConfigDocument(TypedDict):
    """The effective settings, each with its source; file is the TOML file that was read."""

    schema: Literal["conveyor/1"]
    command: Literal["config"]
    ok: Literal[True]
    exit_code: Literal[0]
    error: None
    file: Text | None
    settings: Annotated[dict[str, SettingEntry], Field(min_length=1)]


class AreaEntry(TypedDict):
    """One area: the id in its marker, and whether that was made now."""

    path: Text
    id: Words
    made: bool


class AreasDocument(TypedDict):
    """The areas that were marked."""

    schema: Literal["conveyor/1"]
    command: Literal["init-area"]
    ok: Literal[True]
    exit_code: Literal[0]
    error: None
    areas: list[AreaEntry]


class FindingEntry(TypedDict):
    """One finding. commands are those to run, one of them at a time, each a line for a shell."""

    group: Annotated[Literal["host", "workspace", "trials", "requests", "litter"], BeforeValidator(_plain)]
    check: Words
    severity: Annotated[Literal["ok", "info", "warning", "error"], BeforeValidator(_plain)]
    subject: Words
    what: Words
    advice: Text
    commands: list[Words]


class DoctorDocument(TypedDict):
    """What the doctor found, in order. The error is null if no finding is one."""

    schema: Literal["conveyor/1"]
    command: Literal["doctor"]
    ok: bool
    exit_code: Literal[0, 69]
    error: Annotated[ErrorEntry | None, BeforeValidator(_error)]
    findings: Annotated[list[Annotated[FindingEntry, BeforeValidator(_fields)]], Field(min_length=1)]


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
    runs: list[Annotated[RunEntryDocument, BeforeValidator(_fields)]]


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
    deliveries: Annotated[SpreadEntry, BeforeValidator(_fields)]
    turnaround: Annotated[SpreadEntry, BeforeValidator(_fields)]
    bytes: Count
    bytes_per_second: float | None
    days: Annotated[list[Annotated[DayEntry, BeforeValidator(_fields)]], BeforeValidator(list)]
    unread: Annotated[dict[Text, Text], Field(description="The requests whose history could not be read, and why.")]


class ReportDocument(TypedDict):
    """A report of what was done in a workspace."""

    schema: Literal["conveyor/1"]
    command: Literal["report"]
    ok: bool
    exit_code: Literal[0, 74]
    error: Annotated[ErrorEntry | None, BeforeValidator(_error)]
    report: Annotated[ReportEntry, BeforeValidator(_fields)]


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
    error: Annotated[ErrorEntry | None, BeforeValidator(_error)]
    notices: list[Annotated[AttemptEntry, BeforeValidator(_fields)]]
    waiting: Count


Printed = (
    RequestsDocument
    | OverviewDocument
    | AreasDocument
    | CapabilitiesDocument
    | ConfigDocument
    | DoctorDocument
    | NotifyDocument
    | HistoryDocument
    | ReportDocument
    | FailureDocument
)


# What lies beside the data.


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


class HistoryHead(TypedDict):
    """What every line of ``history.jsonl`` says."""

    command: Text


class WorkHead(HistoryHead):
    """What is read of a line of ``history.jsonl`` that something was done for: a step, or a run that began or ended.

    A run that was refused, and what people said, change nothing else: their lines are none of these.
    """

    event: NotRequired[Literal["begin", "end"]]


class HistoryEnd(WorkHead):
    """What is read of the last line of that kind: the conveyance that it is of."""

    capability: Text


class _Line(HistoryHead):
    """When, who, where, and which command. ``run`` is the same in all lines of a run.

    Release 0.1.0 wrote neither ``run`` nor ``account``.
    """

    time: Text
    host: Text
    pid: int
    version: Text
    capability: Text
    run: NotRequired[Text]
    account: NotRequired[Text]


class RunLine(_Line):
    """A line of ``history.jsonl``: the beginning or the end of a run, its refusal, or what a person said.

    ``outcome`` is ``done`` or ``stopped`` of an end, ``pass`` or ``fail`` of a verdict. ``error`` is the code of what
    refused or stopped the run, ``reason`` its message, or the words of the person. ``bytes`` were copied, in ``seconds``
    for the whole run; ``way`` are the ways that directories took, ``size`` the bytes of all, if they were counted.
    """

    event: Literal["begin", "end", "refused", "verdict", "note", "assigned"]
    outcome: NotRequired[Text]
    error: NotRequired[Text]
    reason: NotRequired[Text]
    to: NotRequired[Text]
    seconds: NotRequired[float]
    bytes: NotRequired[Count]
    size: NotRequired[Count]
    way: NotRequired[list[Text]]


class HistoryLine(_Line):
    """A line of ``history.jsonl``: one step of one run."""

    step: Text
    subject: Text
    outcome: Text
    detail: NotRequired[Text]


class RunEnd(HistoryHead):
    """What is read of a line of ``history.jsonl`` that ends a run; ``bytes`` were copied, in ``seconds`` for all of it."""

    event: Literal["end", "refused"]
    time: Text
    outcome: NotRequired[Text]
    seconds: NotRequired[float]
    bytes: NotRequired[Count]


class EventLine(TypedDict):
    """A line of ``post-script.jsonl``: an event, beside its details."""

    timestamp: Text
    level: Text
    event: Text


# What lies in the outbox of notices.


class Notice(TypedDict):
    """What a receiver is told of: an event of a request. The key is the same in each attempt, and no other notice has it."""

    schema: Literal["conveyor-notice/1"]
    key: Words
    event: Literal["ready", "judged", "home", "failed", "stalled", "test"]
    time: Text
    request: Words
    subject: Annotated[Text, Field(description="One line for people.")]
    text: Annotated[Text, Field(description="All of it for people.")]
    project_code: Text | None
    capability: Text | None
    command: Annotated[Text | None, Field(description="What was run; null: nothing, of a test and of what is stalled.")]
    verdict: Annotated[
        Literal["pass", "fail"] | None, Field(description="Of judged and home: null, if nobody gave one.")
    ]
    spool: Text | None
    qa: Text | None
    weblog_page: Text | None
    board_page: NotRequired[
        Annotated[Text | None, Field(description="The request's page of the QA board; null: no address of one is set.")]
    ]
    error: Annotated[ErrorEntry | None, BeforeValidator(_error)]
    host: Text


class WaitingNotice(TypedDict):
    """A file of ``waiting``: a notice for one receiver, how often it was tried, and, in seconds since 1970, when next."""

    schema: Literal["conveyor-outbox/1"]
    receiver: Words
    written: float
    attempts: Count
    not_before: float
    problem: Text | None
    notice: Notice


class Told(TypedDict):
    """A file of ``told``: the states of a request that were told of since it last was ready, or came home."""

    schema: Literal["conveyor-told/1"]
    states: list[Text]


class SentLine(TypedDict):
    """A line of ``sent.jsonl``: what became of a notice. Tries that failed, and will be repeated, have none."""

    time: Text
    key: Text
    event: Text
    request: Text
    receiver: Text
    outcome: Literal["sent", "given up"]
    attempts: Count
    problem: Text | None


# What lies in the folder of a DAG.


class NodeEntry(TypedDict):
    """One request of a DAG; one that was done already has its outcome, and no node."""

    node: Text | None
    metadata: Text
    spool: Text | None
    done: Annotated[RequestEntry, BeforeValidator(_fields)] | None


class DagManifest(TypedDict):
    """``dag.json``: what a DAG conveys, and with which settings, since a job sees little of the environment."""

    schema: Literal["conveyor-dag/1"]
    command: Annotated[Literal["deliver", "retrieve", "qa-fail"], BeforeValidator(_plain)]
    capability: Text | None
    reason: NotRequired[Text | None]
    settings: Settings
    requests: list[NodeEntry]
