"""``metadata.json``, the one input of Conveyor: a pydantic model, and its reader."""

from __future__ import annotations

import errno
import json
import posixpath
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from conveyor.errors import (
    IoFailedError,
    MetadataInvalidError,
    MetadataMisplacedError,
    MetadataMissingError,
    NotPermittedError,
)
from conveyor.filesystem.posix import read_named
from conveyor.layout import REQUEST_NAME_LIMIT

_LIMIT = 16 * 1024 * 1024  # bytes; a workflow's metadata has a few hundred
# Bytes. Of a path of 4096 the rest is for what stands below the request, at either end.
_PATH_LIMIT = 3072
_SHOWN = 120  # characters of a wrong value that a message shows


def _encodable(value: Any) -> Any:
    """Refuse half a surrogate pair (``"\\ud800"``), which JSON may hold and UTF-8 cannot."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"is not text: {_shown(value)}") from None
    return value


def _shown(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}..."


#: What is written into receipts and messages; more than any workflow says.
Text = Annotated[str, Field(max_length=4096), BeforeValidator(_encodable)]


class ProjectMetadata(BaseModel):
    """The observing project, as the workflow describes it. Every key is optional; unknown ones are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    projectCode: Text | None = None
    title: Text | None = None
    telescope: Text | None = None


class Metadata(BaseModel):
    """A workflow's ``metadata.json``.

    Only ``destinationDirectory``, the parent processing directory, is needed; ``workflowName`` chooses the capability
    unless the caller does. Keys that Conveyor does not know are kept (``metadata.model_extra``). The directory's name is
    the request's: at most 245 bytes, printable, and not hidden (Conveyor's own names begin with a dot).
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    destinationDirectory: Path
    workflowName: Text | None = None
    fileSetIds: tuple[Text, ...] = ()
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
        text = str(value)
        if not text.startswith("/"):
            raise ValueError(f"must be an absolute path, not {_shown(text)}")
        if not text.isprintable():
            raise ValueError(f"must have printable characters only: {_shown(text)}")
        path = Path("/", *text.split("/"))
        if ".." in path.parts:
            raise ValueError(f"must not contain '..': {_shown(text)}")
        if not path.name:
            raise ValueError("must name a directory below the root")
        if path.name.startswith("."):
            raise ValueError(f"must not name a hidden directory: {_shown(path.name)}")
        if len(path.name.encode()) > REQUEST_NAME_LIMIT:
            raise ValueError(f"must have a name of at most {REQUEST_NAME_LIMIT} bytes: {_shown(path.name)}")
        if len(str(path).encode()) > _PATH_LIMIT:
            raise ValueError(f"must be a path of at most {_PATH_LIMIT} bytes: {_shown(text)}")
        return path

    @property
    def request(self) -> str:
        """The request's name: the last component of the parent processing directory."""
        return self.destinationDirectory.name

    @property
    def project_code(self) -> str | None:
        """The observing project's code, such as ``13B-014``."""
        return self.projectMetadata.projectCode


def read_metadata(path: Path) -> Metadata:
    """Read a metadata file of at most 16 MiB.

    Raises :class:`~conveyor.errors.MetadataMissingError` if there is none, :class:`~conveyor.errors.MetadataInvalidError`
    with the place in the document, :class:`~conveyor.errors.MetadataMisplacedError` if it stands in the directory of
    another request, :class:`~conveyor.errors.NotPermittedError` or :class:`~conveyor.errors.IoFailedError`.
    """
    try:
        raw = read_named(path, limit=_LIMIT + 1)
    except FileNotFoundError:
        raise MetadataMissingError(f"there is no metadata file {path}") from None
    except IsADirectoryError:
        beside = f": did you mean {path / 'metadata.json'}?" if (path / "metadata.json").is_file() else ""
        raise MetadataInvalidError(f"{path} is a directory, not a metadata file{beside}") from None
    except PermissionError:
        raise NotPermittedError(f"the metadata file {path} may not be read by this account") from None
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise MetadataInvalidError(f"{path} is not a regular file") from None
        raise IoFailedError(f"the metadata file {path} cannot be read: {error.strerror}") from error
    except ValueError:
        raise MetadataMissingError(f"there is no metadata file {str(path)!r}") from None
    if len(raw) > _LIMIT:
        raise MetadataInvalidError(f"{path} is larger than {_LIMIT} bytes: not a workflow's metadata")
    metadata = parse_metadata(raw, str(path))
    _check_place(path, metadata.destinationDirectory)
    return metadata


def _check_place(path: Path, named: Path) -> None:
    """Refuse a metadata file in the directory of one request that names another: a copied or renamed directory."""
    stands = Path(posixpath.realpath(path)).parent
    request = Path(posixpath.realpath(named))
    if stands != request and stands.parent == request.parent:
        raise MetadataMisplacedError(
            f"{path} stands in the directory of {stands.name!r}, and names the request {request.name!r}: {named}"
        )


def parse_metadata(raw: bytes, source: str) -> Metadata:
    """Make the model from a document; messages name its ``source``.

    Raises :class:`~conveyor.errors.MetadataInvalidError` with the place in the document.
    """
    try:
        document = json.loads(raw, object_pairs_hook=_each_key_once)
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


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object with two equal keys: programs differ in which they take, and one names the directory to move."""
    document = dict(pairs)
    if len(document) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {_shown(twice)} comes twice")
    return document


def _type_name(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
