"""The documents in the outbox of notices."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from conveyor.documents.field_types import Count, ErrorEntry, Moment, Text, Words, as_error


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
    error: Annotated[ErrorEntry | None, BeforeValidator(as_error)]
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

    time: Moment
    key: Text
    event: Text
    request: Text
    receiver: Text
    outcome: Literal["sent", "given up"]
    attempts: Count
    problem: Text | None
