"""The steps, a file for what each is about: what it does in words, whether it would succeed, and the act."""

from __future__ import annotations

from conveyor.engine.steps.cleanup import CleanUp, RemoveLeftBehind
from conveyor.engine.steps.directories import (
    CompleteCopy,
    Deliver,
    PutFinalLink,
    Retrieve,
    RollBackCopy,
    SettleProjects,
)
from conveyor.engine.steps.hooks import HookStep
from conveyor.engine.steps.qa_folder import CloseQaFolder, LinkRest, OpenQaFolder
from conveyor.engine.steps.ready import RemoveMarker, WriteMarker
from conveyor.engine.steps.verdict import ClearVerdict, RecordVerdict
from conveyor.engine.steps.weblog import CacheWeblog, RemoveCachedWeblog

__all__ = [
    "STEPS",
    "CacheWeblog",
    "CleanUp",
    "ClearVerdict",
    "CloseQaFolder",
    "CompleteCopy",
    "Deliver",
    "HookStep",
    "LinkRest",
    "OpenQaFolder",
    "PutFinalLink",
    "RecordVerdict",
    "RemoveCachedWeblog",
    "RemoveLeftBehind",
    "RemoveMarker",
    "Retrieve",
    "RollBackCopy",
    "SettleProjects",
    "WriteMarker",
]

#: The engine's own steps, in the order in which a request meets them.
STEPS = (
    CacheWeblog,
    ClearVerdict,
    OpenQaFolder,
    LinkRest,
    CompleteCopy,
    RollBackCopy,
    SettleProjects,
    Deliver,
    PutFinalLink,
    WriteMarker,
    RemoveMarker,
    Retrieve,
    CleanUp,
    RemoveLeftBehind,
    CloseQaFolder,
    RecordVerdict,
    RemoveCachedWeblog,
)
