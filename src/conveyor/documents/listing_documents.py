"""What the commands print with ``--json`` that list what there is: capabilities, settings, areas, findings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

from conveyor.documents.field_types import ErrorEntry, Text, Words, as_error, as_fields, as_plain


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
    directories: list[Annotated[DirectoryEntry, BeforeValidator(as_fields)]]
    weblog: Annotated[WeblogEntry, BeforeValidator(as_fields)] | None


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

    group: Annotated[Literal["host", "workspace", "trials", "requests", "litter"], BeforeValidator(as_plain)]
    check: Words
    severity: Annotated[Literal["ok", "info", "warning", "error"], BeforeValidator(as_plain)]
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
    error: Annotated[ErrorEntry | None, BeforeValidator(as_error)]
    findings: Annotated[list[Annotated[FindingEntry, BeforeValidator(as_fields)]], Field(min_length=1)]
