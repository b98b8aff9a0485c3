"""What can be set: one model, one field a setting. The reference page is made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError("must be an absolute path without '..'")
    return path


def _not_empty(value: Any) -> Any:
    return None if value == "" else value


Folder = Annotated[Path, AfterValidator(_absolute)]


class Settings(BaseModel):
    """The effective settings. Every field has a working default where the workspace has the usual layout."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spool_root: Annotated[Folder | None, BeforeValidator(_not_empty)] = Field(
        default=None,
        description="The spool area. Where it is set, a metadata file that names a directory outside it is refused, "
        "and `conveyor status` without arguments looks at every request in it.",
    )
    qa_root: Annotated[Folder | None, BeforeValidator(_not_empty)] = Field(
        default=None,
        description="The folder that holds the QA areas (`qa2`, `image-qa`). Default: beside the spool area.",
    )
    weblog_cache: Annotated[Folder | None, BeforeValidator(_not_empty)] = Field(
        default=None,
        description="The folder that weblogs are cached in; made when it is missing. "
        "Default: `weblog-cache` beside the spool area.",
    )
    links: Literal["auto", "relative", "absolute"] = Field(
        default="auto",
        description="The text of the links that Conveyor leaves: `relative`, `absolute`, or `auto`, which is relative "
        "where both ends are in one workspace.",
    )
    weblog_max_bytes: PositiveInt = Field(
        default=50_000_000_000, description="The most bytes that a weblog may unpack to."
    )
    weblog_max_members: PositiveInt = Field(
        default=1_000_000, description="The most files, folders and links that a weblog may have."
    )
    weblog_max_ratio: PositiveInt = Field(
        default=200,
        description="How many times its own size a weblog tar may unpack to (what is below 100 MB always may).",
    )
    min_free_bytes: PositiveInt = Field(
        default=10_000_000_000, description="The free bytes of a file system below which `conveyor doctor` warns."
    )
    min_free_inodes: PositiveInt = Field(
        default=100_000, description="The free inodes of a file system below which `conveyor doctor` warns."
    )
    jobs: PositiveInt = Field(default=1, description="How many requests of one command are conveyed at the same time.")
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="Log lines for people, or JSON; `auto` asks whether stderr is a terminal."
    )
    log_file: Path | None = Field(default=None, description="A file that log lines are added to, instead of stderr.")
    capabilities: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Capabilities that need no code: a table each, see *Add a capability*.",
    )
    capo: dict[str, str] = Field(
        default_factory=dict,
        description='Which CAPO property holds which setting, as `setting = "property"`. '
        "CAPO is asked only where this is set.",
    )
