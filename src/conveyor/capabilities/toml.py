"""Capabilities from tables of the configuration file: the same description, no code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from conveyor.capabilities.capability import WEBLOG_PATTERNS, Capability, Directory, Weblog
from conveyor.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _DirectoryTable(_Table):
    name: str
    required: bool = True


class _WeblogTable(_Table):
    directory: str = "products"
    patterns: list[str] = list(WEBLOG_PATTERNS)
    required: bool = False
    keep_after_qa_fail: bool = True


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class _CapabilityTable(_Table):
    workflows: list[str]
    qa_area: str
    directories: list[Annotated[_DirectoryTable, BeforeValidator(_named)]]
    weblog: _WeblogTable | bool = _WeblogTable()


def capability_from_table(name: str, table: Mapping[str, Any], origin: str) -> Capability:
    """Make a capability from ``[capabilities.<name>]``; ``origin`` says in messages which file that was.

    Raises :class:`~conveyor.errors.ConfigurationError`.
    """
    try:
        parsed = _CapabilityTable.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(["capabilities", name, *(str(part) for part in first["loc"])])
        raise ConfigurationError(f"{origin}: {place}: {first['msg']}") from None
    weblog = _WeblogTable() if parsed.weblog is True else parsed.weblog
    return Capability(
        name=name,
        workflows=tuple(parsed.workflows),
        qa_area=parsed.qa_area,
        directories=tuple(Directory(one.name, one.required) for one in parsed.directories),
        weblog=None
        if weblog is False
        else Weblog(weblog.directory, tuple(weblog.patterns), weblog.required, weblog.keep_after_qa_fail),
    )
