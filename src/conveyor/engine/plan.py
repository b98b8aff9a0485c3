"""A plan: what a conveyance will do, as frozen named steps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Operation(StrEnum):
    """What a command asks for."""

    DELIVER = "deliver"
    RETRIEVE = "retrieve"
    QA_FAIL = "qa-fail"


class StepName(StrEnum):
    """Everything that a plan may ask for. Each is safe to repeat."""

    CACHE_WEBLOG = "cache-weblog"
    OPEN_QA_FOLDER = "open-qa-folder"
    FINISH_COPY = "finish-copy"
    RECALL_COPY = "recall-copy"
    DELIVER = "deliver"
    LINK = "link"
    WRITE_READY = "write-ready"
    WITHDRAW_READY = "withdraw-ready"
    RETRIEVE = "retrieve"
    TIDY = "tidy"
    CLOSE_QA_FOLDER = "close-qa-folder"
    RECORD_VERDICT = "record-verdict"
    CLEAR_VERDICT = "clear-verdict"
    FORGET_WEBLOG = "forget-weblog"


#: What each step does, for people. ``{subject}`` is the step's subject, mostly a directory's name.
MEANING = {
    StepName.CACHE_WEBLOG: "cache and unpack the weblog {subject}",
    StepName.OPEN_QA_FOLDER: "open the QA folder",
    StepName.FINISH_COPY: "remove the source of the finished copy of {subject}",
    StepName.RECALL_COPY: "recall the unfinished copy of {subject}",
    StepName.DELIVER: "move {subject} to the QA area, a link in its place",
    StepName.LINK: "make the link of {subject} the plain one",
    StepName.WRITE_READY: "write READY",
    StepName.WITHDRAW_READY: "withdraw READY",
    StepName.RETRIEVE: "move {subject} home, in the place of its link",
    StepName.TIDY: "remove what an interrupted run left",
    StepName.CLOSE_QA_FOLDER: "close the QA folder",
    StepName.RECORD_VERDICT: "record the verdict: QA failed",
    StepName.CLEAR_VERDICT: "clear the verdict of the earlier QA",
    StepName.FORGET_WEBLOG: "remove the cached weblog",
}


@dataclass(frozen=True)
class Step:
    """One step: what, and to which subject (a directory's name, a weblog's name, or nothing)."""

    name: StepName
    subject: str = ""

    @property
    def meaning(self) -> str:
        return MEANING[self.name].format(subject=self.subject)


@dataclass(frozen=True)
class Plan:
    """The steps that remain, in order; none where everything is done already."""

    operation: Operation
    steps: tuple[Step, ...]
    warnings: tuple[str, ...] = ()
