"""``metadata.json``, the one input of Conveyor: a pydantic model, and its reader."""

from __future__ import annotations

import errno
import json
import posixpath
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from conveyor.errors import (
    ConveyorError,
    IoFailedError,
    MetadataInvalidError,
    MetadataMisplacedError,
    MetadataMissingError,
    NotPermittedError,
    ServerGoneError,
)
from conveyor.filesystem.posix import Kind, read_named
from conveyor.layout import METADATA, READY, REQUEST_NAME_LIMIT
from conveyor.settings.wording import nearest, problem, shown

if TYPE_CHECKING:
    from conveyor.filesystem.posix import DirFd, FileSystem

_LIMIT = 16 * 1024 * 1024  # bytes; a workflow's metadata has a few hundred
# Bytes. Of a path of 4096 the rest is for what stands below the request, at either end.
_PATH_LIMIT = 3072
_DIGITS = 1000
_TEXT_LIMIT = 4096  # characters; more than any workflow says


def _is_text(value: str) -> bool:
    """Tell whether UTF-8 can hold it: JSON may have half a surrogate pair (``"\\ud800"``)."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return len(value) <= _TEXT_LIMIT


def _workflow(value: Any) -> Any:
    if value is None or (isinstance(value, str) and _is_text(value)):
        return value
    raise ValueError(f"must be the name of a workflow in a string, not {shown(value)}")


def _text_if_any(value: Any) -> str | None:
    """Return text or a number as text, and nothing for everything else: a key that is not needed refuses no request."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and _is_text(value) else None


#: Text that a request can do without.
OptionalText = Annotated[str | None, BeforeValidator(_text_if_any)]


class ProjectMetadata(BaseModel):
    """The observing project, as the workflow describes it. Every key is optional; unknown ones are kept.

    A number is taken as its text. A value that is no text is None, as one that is missing.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    projectCode: OptionalText = None
    title: OptionalText = None
    telescope: OptionalText = None


class Metadata(BaseModel):
    """A workflow's ``metadata.json``.

    Only ``destinationDirectory``, the parent processing directory, is needed; ``workflowName`` chooses the capability
    unless the caller does. No other key can refuse a request; those that Conveyor does not know are kept
    (``metadata.model_extra``). The directory's name is the request's: at most 245 bytes, printable, and not hidden
    (Conveyor's own names begin with a dot).
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    destinationDirectory: Path
    workflowName: Annotated[str | None, BeforeValidator(_workflow)] = None
    fileSetIds: tuple[str, ...] = ()
    projectMetadata: ProjectMetadata = Field(default_factory=ProjectMetadata)

    @field_validator("fileSetIds", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> tuple[str, ...]:
        several = value if isinstance(value, list | tuple) else (value,)
        return tuple(text for one in several if (text := _text_if_any(one)) is not None)

    @field_validator("projectMetadata", mode="before")
    @classmethod
    def _an_object(cls, value: Any) -> Any:
        return value if isinstance(value, dict | ProjectMetadata) else {}

    @field_validator("destinationDirectory", mode="before")
    @classmethod
    def _absolute_and_plain(cls, value: Any) -> Any:
        if not isinstance(value, str | Path):
            raise ValueError("must be a path in a string")
        text = str(value)
        if not text.startswith("/"):
            raise ValueError(f"must be an absolute path, not {shown(text)}")
        if not text.isprintable():
            raise ValueError(f"must have printable characters only: {shown(text)}")
        if "/.." in text and ".." in text.split("/"):
            raise ValueError(f"must not contain '..': {shown(text)}")
        path = Path("/", *text.split("/")) if "//" in text else Path(text)
        name = path.name
        if not name:
            raise ValueError("must name a directory below the root")
        if name.startswith("."):
            raise ValueError(f"must not name a hidden directory: {shown(name)}")
        if len(name.encode()) > REQUEST_NAME_LIMIT:
            raise ValueError(f"must have a name of at most {REQUEST_NAME_LIMIT} bytes: {shown(name)}")
        if len(str(path).encode()) > _PATH_LIMIT:
            raise ValueError(f"must be a path of at most {_PATH_LIMIT} bytes: {shown(text)}")
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
        raise _missing_error(path) from None
    except IsADirectoryError:
        raise _directory_error(path) from None
    except NotADirectoryError:
        raise MetadataMissingError(f"there is no metadata file {path}: what stands above it is no directory") from None
    except PermissionError:
        raise NotPermittedError(f"the metadata file {path} may not be read by this account") from None
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise MetadataInvalidError(f"{path} is not a regular file") from None
        if error.errno == errno.ELOOP:  # of a link to itself, as 'rsync -a qa2/R/ spool/R/' makes it of a link to spool
            raise MetadataMissingError(
                f"there is no metadata file {path}: it is a symbolic link that leads in a circle, or may not be followed",
                hint="put the file itself, or another one, in the place of the link",
            ) from None
        is_gone = isinstance(ConveyorError.from_os_error(error), ServerGoneError)
        kind = ServerGoneError if is_gone else IoFailedError
        raise kind(f"the metadata file {path} cannot be read: {error.strerror}") from error
    except ValueError:
        raise MetadataMissingError(f"there is no metadata file {str(path)!r}") from None
    if len(raw) > _LIMIT:
        raise MetadataInvalidError(f"{path} is larger than {_LIMIT} bytes: not a workflow's metadata")
    metadata = parse_metadata(raw, str(path))
    _check_place(path, metadata.destinationDirectory)
    return metadata


def read_own_metadata(fs: FileSystem, directory: DirFd) -> Metadata:
    """Read the metadata file in a request's directory that is open: :func:`read_metadata` in fewer calls.

    Raises what that raises.
    """
    if fs.kind(directory, METADATA) is Kind.FILE:
        with suppress(OSError):  # told by the words of the other
            raw = fs.read(directory, METADATA, limit=_LIMIT)
            metadata = parse_metadata(raw, str(directory.path / METADATA)) if len(raw) < _LIMIT else None
            if metadata is not None and str(metadata.destinationDirectory) == str(directory.path):
                return metadata
    return read_metadata(directory.path / METADATA)


def _missing_error(path: Path) -> MetadataMissingError:
    hint = None
    if any(letter in str(path) for letter in "*?["):
        hint = "it is a pattern of the shell that matches nothing: look at what there is, and mind its quotes"
    return MetadataMissingError(f"there is no metadata file {path}", hint=hint)


def _directory_error(path: Path) -> MetadataInvalidError:
    """Return the error for a directory: the request's own, its QA folder, or any other."""
    hint = "name the metadata.json of a request"
    with suppress(OSError):
        if (path / METADATA).is_file():
            hint = f"did you mean {path / METADATA}?"
        elif path == Path():  # what Path makes of an empty text too
            hint += "; if you named one by a variable of the shell, it is empty"
    with suppress(OSError, ValueError):
        hint = f"it is a QA folder: did you mean {_spool_of(read_named(path / READY, limit=_LIMIT))}?"
    return MetadataInvalidError(f"{path} is a directory, not a metadata file", hint=hint)


def _spool_of(receipt: bytes) -> Path:
    """Return the metadata file that the request of a receipt has. Raises :class:`ValueError` if it is no receipt."""
    from conveyor.documents.codec import load
    from conveyor.documents.kept_documents import Ready

    return Path(load(Ready, receipt)["spool"]) / METADATA


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
        document = _DECODER.decode(raw.decode(json.detect_encoding(raw), "surrogatepass"))
    except UnicodeDecodeError as error:
        raise MetadataInvalidError(f"{source} is not JSON: not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        where = f"at line {error.lineno}, column {error.colno}"
        raise MetadataInvalidError(f"{source} is not JSON: {_json_problem(error)} {where}") from None
    except (RecursionError, ValueError) as error:
        raise MetadataInvalidError(f"{source} is not JSON that can be read: {error}") from None
    if not isinstance(document, dict):
        raise MetadataInvalidError(f"{source} holds {_type_name(document)}, where an object is expected")
    if "destinationDirectory" not in document:
        with suppress(ValueError):
            raise MetadataInvalidError(
                f"{source} is the receipt of a delivery, not metadata", hint=f"did you mean {_spool_of(raw)}?"
            )
    try:
        return Metadata.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            near = nearest(key, document)
            meant = f"; it has {near!r}" if near else ""
            text = f"{source} lacks the key {key!r}, the parent processing directory{meant}"
        else:
            text = f"{source}: {key} {problem(first)}"
        raise MetadataInvalidError(text) from None


def _json_problem(error: json.JSONDecodeError) -> str:
    """Return what is wrong with a document, for people: Python's words do not name a comma before an end."""
    before, rest = error.doc[: error.pos].rstrip(), error.doc[error.pos :].lstrip()
    if before.endswith(",") and rest[:1] in ("}", "]"):
        return "a comma stands before an end"
    if rest.startswith(("//", "/*", "#")):
        return "JSON has no comments"
    if not rest:
        return "it ends too early"
    return error.msg


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object with two equal keys: programs differ in which they take, and one names the directory to move."""
    document = dict(pairs)
    if len(document) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {shown(twice)} comes twice")
    return document


def _number(digits: str) -> int | float:
    """Return a number of any length: Python makes no whole numbers of more than 4300 digits (CVE-2020-10735)."""
    return int(digits) if len(digits) <= _DIGITS else float(digits)


#: What :func:`json.loads` makes anew for each document.
_DECODER = json.JSONDecoder(object_pairs_hook=_each_key_once, parse_int=_number)


def _type_name(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
