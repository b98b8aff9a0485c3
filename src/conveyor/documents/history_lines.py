"""The lines of the logs of a request, as they are written and as they are read again."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from conveyor.documents.field_types import Count, Moment, Seconds, Text


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

    time: Moment
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
    seconds: NotRequired[Seconds]
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
    time: Moment
    outcome: NotRequired[Text]
    seconds: NotRequired[Seconds]
    bytes: NotRequired[Count]


class EventLine(TypedDict):
    """A line of ``post-script.jsonl``: an event, beside its details."""

    timestamp: Text
    level: Text
    event: Text
