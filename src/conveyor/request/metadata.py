"""``metadata.json``: the one input of Conveyor, as a pydantic model, and how it is read."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from conveyor.errors import IoFailedError, MetadataInvalidError, MetadataMissingError, NotPermittedError

_LIMIT = 16 * 1024 * 1024  # bytes; a workflow's metadata has a few hundred


class ProjectMetadata(BaseModel):
    """What the workflow says of the observing project; every key is optional, unknown ones are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    projectCode: str | None = None
    title: str | None = None
    telescope: str | None = None


class Metadata(BaseModel):
    """A workflow's ``metadata.json``.

    Only ``destinationDirectory``, the parent processing directory, is needed; ``workflowName`` chooses the capability
    unless the caller does. Keys that Conveyor does not know are kept (``metadata.model_extra``).
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    destinationDirectory: Path
    workflowName: str | None = None
    fileSetIds: tuple[str, ...] = ()
    projectMetadata: ProjectMetadata = Field(default_factory=ProjectMetadata)

    @field_validator("fileSetIds", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("destinationDirectory", mode="before")
    @classmethod
    def _absolute_and_plain(cls, value: Any) -> Any:
        if not isinstance(value, str | Path):
            raise ValueError("must be a path in a string")
        path = PurePosixPath(value)
        if not path.is_absolute():
            raise ValueError(f"must be an absolute path, not {str(value)!r}")
        if ".." in path.parts:
            raise ValueError(f"must not contain '..': {str(value)!r}")
        if "\0" in str(value):
            raise ValueError("must not contain a NUL character")
        if not path.name:
            raise ValueError("must name a directory below the root")
        return Path(path)

    @property
    def request(self) -> str:
        """The request's name: the last component of the parent processing directory."""
        return self.destinationDirectory.name

    @property
    def project_code(self) -> str | None:
        """The observing project's code, such as ``13B-014``."""
        return self.projectMetadata.projectCode


def read_metadata(path: Path) -> Metadata:
    """Read a metadata file.

    Raises :class:`~conveyor.errors.MetadataMissingError`, :class:`~conveyor.errors.MetadataInvalidError` (with the
    place in the document), :class:`~conveyor.errors.NotPermittedError` or :class:`~conveyor.errors.IoFailedError`.
    """
    try:
        if path.is_dir():
            beside = f": did you mean {path / 'metadata.json'}?" if (path / "metadata.json").is_file() else ""
            raise MetadataInvalidError(f"{path} is a directory, not a metadata file{beside}")
        if path.exists() and not path.is_file():
            raise MetadataInvalidError(f"{path} is not a regular file")
        with path.open("rb") as file:
            raw = file.read(_LIMIT + 1)
    except FileNotFoundError:
        raise MetadataMissingError(f"there is no metadata file {path}") from None
    except PermissionError:
        raise NotPermittedError(f"the metadata file {path} may not be read by this account") from None
    except OSError as error:
        raise IoFailedError(f"the metadata file {path} cannot be read: {error.strerror}") from error
    if len(raw) > _LIMIT:
        raise MetadataInvalidError(f"{path} is larger than {_LIMIT} bytes: not a workflow's metadata")
    return parse_metadata(raw, str(path))


def parse_metadata(raw: bytes, source: str) -> Metadata:
    """Make the model from a document; ``source`` says in messages where it came from."""
    try:
        document = json.loads(raw)
    except UnicodeDecodeError as error:
        raise MetadataInvalidError(f"{source} is not JSON: not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise MetadataInvalidError(
            f"{source} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except (RecursionError, ValueError) as error:
        raise MetadataInvalidError(f"{source} is not JSON that can be read: {error}") from None
    if not isinstance(document, dict):
        raise MetadataInvalidError(f"{source} holds {_type_name(document)} at $, where an object is expected")
    try:
        return Metadata.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
        if first["type"] == "missing":
            text = f"{source} lacks the key {place}, the parent processing directory"
        else:
            text = f"{source}: {place} {first['msg'].removeprefix('Value error, ')}"
        raise MetadataInvalidError(text) from None


def _type_name(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
