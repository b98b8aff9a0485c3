"""Documents of every kind: checked, read and written."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import BaseModel

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from conveyor.errors import ConveyorError

_T = TypeVar("_T")


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def printed(
    kind: type[_T], command: str | None, code: int, error: ConveyorError | None = None, **content: object
) -> _T:
    """Make the document that a command prints which ends with the exit status ``code``."""
    head = {"schema": "conveyor/1", "command": command, "ok": code == 0, "exit_code": code, "error": error}
    return validate(kind, {**head, **content})


def validate(kind: type[_T], value: object) -> _T:
    """Make a document of dictionaries, lists and values of the engine. Raises :class:`ValueError` if it is none."""
    document: _T = _adapter(cast("Any", kind)).validate_python(value)
    return document


def load(kind: type[_T], content: bytes | str) -> _T:
    """Read a document. Raises :class:`ValueError` if it is none of that kind."""
    text = content if isinstance(content, str) else content.decode("utf-8", "surrogateescape")
    try:
        return validate(kind, json.loads(text))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def encode(value: Any) -> dict[str, Any]:
    """Return the fields of a value that stands in a document, for :func:`json.dumps`."""
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else vars(value)


def dump(document: object) -> bytes:
    """Return a document as a small file that people may read too."""
    return (json.dumps(document, indent=2, ensure_ascii=False, default=encode) + "\n").encode(
        "utf-8", "surrogateescape"
    )


def dump_line(document: object) -> bytes:
    """Return a document as a line of a log."""
    return json.dumps(document, default=str).encode() + b"\n"
