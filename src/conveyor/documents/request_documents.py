"""What the commands on requests print with ``--json``, and what each prints that fails."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from conveyor.documents.field_types import (
    Count,
    DirectoryState,
    ErrorEntry,
    ExitStatus,
    State,
    Text,
    Way,
    Words,
    add_statuses,
    as_error,
    as_fields,
    as_plain,
    as_verified,
)
from conveyor.documents.kept_documents import AssignmentEntry, JudgementEntry, Progress


class StepEntry(TypedDict):
    """One step of the plan, and what came of it. A capability may have steps of its own."""

    step: Words
    subject: Text
    outcome: Literal["planned", "done", "already", "failed"]
    detail: Annotated[str, BeforeValidator(str)]


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


class SeenEntry(TypedDict):
    """What an overview says of a request. Times are UTC, lengths of time in seconds, sizes in bytes."""

    name: Words
    section: Annotated[
        Literal["needs-person", "stalled", "moving", "in-qa", "computing", "in-spool"], BeforeValidator(as_plain)
    ]
    trouble: Annotated[
        Annotated[
            Literal["unreadable", "orphaned", "renamed", "dangling", "needs-person", "stalled", "refused", "left-over"],
            BeforeValidator(as_plain),
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
            list[Annotated[VerifiedEntry, BeforeValidator(as_verified)]],
            Field(description="Of verify: what became of each directory in QA."),
        ]
    ]
    users: NotRequired[
        Annotated[
            list[Annotated[UserEntry, BeforeValidator(as_fields)]],
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
    steps: list[Annotated[StepEntry, BeforeValidator(as_fields)]]
    warnings: list[Text]
    error: Annotated[ErrorEntry | None, BeforeValidator(as_error)]


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
        BeforeValidator(as_plain),
    ]
    ok: bool
    exit_code: ExitStatus
    error: None
    dry_run: bool
    requests: list[Annotated[RequestEntry, BeforeValidator(as_fields)]]


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
    exit_code: Annotated[int, Field(description="The exit status of the program.", json_schema_extra=add_statuses(1))]
    error: Annotated[ErrorEntry, BeforeValidator(as_error)]
    dry_run: bool
    requests: Annotated[list[RequestEntry], Field(max_length=0)]
