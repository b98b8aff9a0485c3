"""The documents in the folder of a DAG."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import BeforeValidator
from typing_extensions import TypedDict

from conveyor.documents.field_types import Text, as_fields, as_plain
from conveyor.documents.request_documents import RequestEntry
from conveyor.settings.model import Settings


class NodeEntry(TypedDict):
    """One request of a DAG; one that was done already has its outcome, and no node."""

    node: Text | None
    metadata: Text
    spool: Text | None
    done: Annotated[RequestEntry, BeforeValidator(as_fields)] | None


class DagManifest(TypedDict):
    """``dag.json``: what a DAG conveys, and with which settings, since a job sees little of the environment."""

    schema: Literal["conveyor-dag/1"]
    command: Annotated[Literal["deliver", "retrieve", "qa-fail"], BeforeValidator(as_plain)]
    capability: Text | None
    reason: NotRequired[Text | None]
    settings: Settings
    requests: list[NodeEntry]
