"""The model of the settings, one field each. The reference page is made from it."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
)

from conveyor.settings.receivers import Address, Receivers, Secret
from conveyor.settings.wording import shown


def _path(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("must not have a null character in it")
    return path


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError("must be an absolute path without '..'")
    return path


def _at_least(least: int) -> AfterValidator:
    def check(size: ByteSize) -> ByteSize:
        if size < least:
            raise ValueError(f"must be at least {least} byte{'s' if least > 1 else ''}")
        return size

    return AfterValidator(check)


_SIZE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([a-z]*)", re.ASCII | re.IGNORECASE)
_PREFIXES = "kmgtpe"
_UNITS = {"": 1, "b": 1}
for _power, _prefix in enumerate(_PREFIXES, 1):
    _UNITS |= dict.fromkeys((_prefix, f"{_prefix}b"), 1000**_power) | {f"{_prefix}ib": 1024**_power}


def _size(value: Any) -> Any:
    """Return the bytes of a size: a whole number, or text such as ``200M`` or ``1.5 GiB``, all of which has to fit."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"must be a size such as 2000000, '200M' or '1GiB', not {shown(value)}")
    if isinstance(value, int):
        return value
    found = _SIZE.fullmatch(value.strip())
    if found is None or (unit := found[2].lower()) not in _UNITS:
        separated = ", in which nothing separates thousands" if "," in value or "_" in value else ""
        raise ValueError(f"must be a size such as 2000000, 200M or 1GiB{separated}, not {shown(value)}")
    return int(Decimal(found[1]) * _UNITS[unit])


def _not_empty(value: Any) -> Any:
    return None if value == "" else value


def _server(value: str) -> str:
    if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d{1,5})?", value, re.ASCII):
        raise ValueError("must be the name of a host, or 'host:port'")
    return value


def _web_address(value: str) -> str:
    if not re.fullmatch(r"https?://[!-~]+", value) or re.match(r"https?://[^/]*@", value):
        raise ValueError("must be an address that begins with https:// or http://, without a password in it")
    return value if value.endswith("/") else f"{value}/"


WebAddress = Annotated[str, AfterValidator(_web_address)]
NamedPath = Annotated[Path, AfterValidator(_path)]
AbsolutePath = Annotated[NamedPath, AfterValidator(_absolute)]
#: Bytes as a number, or as ``200M`` (a million each) and ``1GiB`` (powers of 1024).
Size = Annotated[ByteSize, BeforeValidator(_size), _at_least(1)]
#: Bytes a second. Less than a thousand is a typing error: a directory would be copied for years.
Rate = Annotated[ByteSize, BeforeValidator(_size), _at_least(1000)]


#: Settings by their names of the release before, which work for this one release too.
RENAMED = {"engine": "runner"}
#: Settings that are tables: they have no form in an environment variable.
TABLES = ("receivers", "capabilities", "capo")
#: Fields, of tables too, whose values are not repeated in messages.
SECRETS = frozenset({"secret", "webhook", "smtp_password"})


class Settings(BaseModel):
    """The effective settings. Every field has a default that works if the workspace has the usual layout."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spool_root: Annotated[AbsolutePath | None, BeforeValidator(_not_empty)] = Field(
        default=None,
        description="The spool area. If it is set, a metadata file that names a directory outside it is refused, "
        "and `conveyor status` without arguments looks at every request in it that a capability claims, "
        "and at whatever is out.",
    )
    qa_root: Annotated[AbsolutePath | None, BeforeValidator(_not_empty)] = Field(
        default=None,
        description="The directory that holds the QA areas (`qa2`, `image-qa`). Default: beside the spool area.",
    )
    weblog_cache: Annotated[AbsolutePath | None, BeforeValidator(_not_empty)] = Field(
        default=None,
        description="The directory in which weblogs are cached; made if it is missing. "
        "Default: `weblog-cache` beside the spool area.",
    )
    links: Literal["auto", "relative", "absolute"] = Field(
        default="auto",
        description="The text of the links that Conveyor leaves: `relative`, `absolute`, or `auto`, which is relative "
        "if both ends are in one workspace.",
    )
    require_area_marker: bool = Field(
        default=False,
        description="Whether nothing is conveyed if the spool area or the QA area has no `.conveyor-area`, the marker that "
        "`conveyor init-area` makes: then a file system that is not mounted is always noticed.",
    )
    weblog_max_bytes: Size = Field(
        default=ByteSize(50_000_000_000), description="The most bytes that a weblog may unpack to."
    )
    weblog_max_members: PositiveInt = Field(
        default=1_000_000, description="The most files, directories and links that a weblog may have."
    )
    weblog_max_ratio: PositiveInt = Field(
        default=200,
        description="How many times its own size a weblog tar may unpack to (what is below 100 MB always may).",
    )
    min_free_bytes: Size = Field(
        default=ByteSize(10_000_000_000),
        description="The free bytes of a file system below which `conveyor doctor` warns.",
    )
    min_free_inodes: PositiveInt = Field(
        default=100_000, description="The free inodes of a file system below which `conveyor doctor` warns."
    )
    jobs: PositiveInt = Field(default=1, description="How many requests of one command are conveyed at the same time.")
    strict: bool = Field(
        default=False,
        description="Whether a conveyance refuses what it would only warn of before it changes anything.",
    )
    qa_link_days: NonNegativeInt = Field(
        default=0,
        description="For how many days a link to the request in spool stands in the place of its QA folder once it is home, "
        "for what was saved by the QA path. The next way home of any request in that area removes those that are older.",
    )
    wait: NonNegativeInt = Field(
        default=0,
        description="How many seconds a conveyance waits for what may end by itself: another conveyance of the request, "
        "somebody who works in a directory that has to be copied, a weblog that is being written.",
    )
    when_idle: bool = Field(
        default=False,
        description="Whether a conveyance waits until no process of this host stands in a directory that moves, or has "
        "anything in it open; as long as `wait` says, or, if that is 0, without limit.",
    )
    cache_lifetime: NonNegativeInt | None = Field(
        default=None,
        description="For how many seconds other hosts may follow what they know of a path. The source of a copy stays as "
        "long, set aside, for their readers; then the next command about the request or `conveyor tidy` removes it. "
        "Default: `acdirmax` of the mount for NFS (60 unless it says otherwise), 20 for sshfs, 1 for SMB, 0 for others.",
    )
    copy_workers: PositiveInt | None = Field(
        default=None,
        description="How many processes copy a directory to another file system. "
        "Default: one for each processor that this process may use, by its affinity, the quota of its control group and the "
        "slot of its job in HTCondor; two at least and sixteen at most.",
    )
    copy_max_rate: Rate | None = Field(
        default=None,
        description="The most bytes a second that a copy writes, all its processes together; at least 1000. "
        "Default: no limit.",
    )
    copy_buffer: Annotated[ByteSize, BeforeValidator(_size), _at_least(4096)] = Field(
        default=ByteSize(1 << 20), description="What a process that copies reads at once; each has two such buffers."
    )
    copy_read_back: Literal["cache", "disk"] = Field(
        default="cache",
        description="What a copy is verified by: what the kernel has of it in memory, or, once it is flushed, "
        "the disk, which takes a second reading.",
    )
    copy_rounds: PositiveInt = Field(
        default=3,
        description="How often what changed while it was copied is copied again, before the conveyance gives up.",
    )
    copy_checkpoint: PositiveInt = Field(
        default=30, description="After so many seconds what was copied is made durable: a crash costs no more."
    )
    project_ids: Literal["retag", "copy", "refuse"] = Field(
        default="copy",
        description="What becomes of a directory that has another project ID (ext4, xfs, Lustre) than its target hands on. "
        "`retag`: it and all in it get the target's, so that it is renamed, and the target's quota is charged; on the way "
        "home they get theirs again. `copy`: it is copied if it cannot be renamed. `refuse`: it is refused then.",
    )
    runner: Literal["local", "htcondor"] = Field(
        default="local",
        validation_alias=AliasChoices("runner", "engine"),  # a DAG folder of an earlier release has the old name
        description="Where the commands convey requests: in processes of this host, or as jobs of a pool of HTCondor.",
    )
    dag_folder: Annotated[AbsolutePath | None, BeforeValidator(_not_empty)] = Field(
        default=None,
        description="Where the runner `htcondor` makes the directory of each DAG; every host of the pool has to see it. "
        "Default: the working directory.",
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="Log lines for people, or JSON; `auto` asks whether stderr is a terminal."
    )
    progress_seconds: PositiveInt = Field(
        default=10,
        description="The seconds between two lines in the log about a copy that goes on, if that is no terminal.",
    )
    log_file: NamedPath | None = Field(
        default=None, description="A file that log lines are added to, instead of stderr."
    )
    stalled_minutes: NonNegativeInt = Field(
        default=30,
        description="After how many minutes `conveyor notify` tells of a request that is stalled.",
    )
    smtp_server: Annotated[str, AfterValidator(_server)] = Field(
        default="localhost", description="The mail server that notices are sent by, as `host` or `host:port`."
    )
    smtp_security: Literal["none", "starttls", "tls"] = Field(
        default="none",
        description="How the connection to the mail server is secured: by STARTTLS, or by TLS from its beginning on. "
        "The port is 25, 587 or 465 unless `smtp_server` has another.",
    )
    smtp_user: Annotated[str | None, BeforeValidator(_not_empty)] = Field(
        default=None, description="The account at the mail server, if it asks for one."
    )
    smtp_password: Annotated[Secret | None, BeforeValidator(_not_empty)] = Field(
        default=None,
        description="Where the password of that account is: `env:VARIABLE` or `file:/path`. The password itself is refused.",
    )
    mail_from: Annotated[Address | None, BeforeValidator(_not_empty)] = Field(
        default=None, description="The sender of mails. Default: `conveyor` at this host."
    )
    board_url: Annotated[WebAddress | None, BeforeValidator(_not_empty)] = Field(
        default=None,
        description="The address of the QA board as its readers know it, such as `https://qa.example.org/`: a notice "
        "then has that of its request's page.",
    )
    receivers: Receivers = Field(
        default_factory=dict,
        description="Who is told of what: a table each, see *Notify people*. Without any, no notices are written.",
    )
    capabilities: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Capabilities that need no code: a table each, see *Add a capability*.",
    )
    capo: dict[str, str] = Field(
        default_factory=dict,
        description='Which CAPO property holds which setting, as `setting = "property"`. '
        "CAPO is asked only if this is set.",
    )
