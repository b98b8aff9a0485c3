"""The types that keys of several documents have, and what makes such values of those of the engine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf
from typing_extensions import TypedDict

from conveyor.errors import ConveyorError, tree

if TYPE_CHECKING:
    from collections.abc import Callable


def as_plain(value: Any) -> Any:
    """Return a member of a StrEnum as plain text, which a Literal asks for before pydantic 2.8."""
    return str(value) if isinstance(value, str) else value


def as_fields(value: Any) -> Any:
    """Return the fields of a frozen value of the engine that stands where a dictionary is to be."""
    return value if isinstance(value, dict) else vars(value)


def as_verified(value: Any) -> Any:
    """Return a result of a verification as a dictionary, with what follows from it."""
    return value if isinstance(value, dict) else {**vars(value), "result": value.result}


def as_error(value: Any) -> Any:
    """Return an error as what a document says of it."""
    is_error = isinstance(value, ConveyorError)
    return {"code": value.code, "message": value.message, "hint": value.hint} if is_error else value


def check_moment(value: str) -> str:
    """Let through a time that can be compared with others: one with an offset, in the years that there are."""
    try:
        moment = datetime.fromisoformat(value)
        moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a time between the years 1 and 9999") from None
    if moment.tzinfo is None:
        raise ValueError("must be a time with an offset")
    return value


def add_codes(schema: dict[str, Any]) -> None:
    """Add the codes of all errors to a schema."""
    schema["enum"] = sorted({kind.code for kind in tree()})


def add_statuses(*others: int) -> Callable[[dict[str, Any]], None]:
    """Return what adds the exit statuses of all errors to a schema, and others."""

    def add(schema: dict[str, Any]) -> None:
        schema["enum"] = sorted({kind.exit_code for kind in tree()}.union(others))

    return add


#: Text that may hold a path: what is not UTF-8 in it are lone surrogates (PEP 383), which pydantic refuses in a ``str``.
Text = Annotated[str, InstanceOf()]
#: Text that is never empty.
Words = Annotated[str, Field(min_length=1), InstanceOf()]
#: A time of a line of a log, as :func:`conveyor.clock.now` writes it.
Moment = Annotated[str, InstanceOf(), AfterValidator(check_moment)]
#: A length of time.
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(strict=True, ge=0)]
State = Annotated[Literal["in-spool", "in-qa", "in-transit", "broken"], BeforeValidator(as_plain)]
DirectoryState = Annotated[Literal["in-spool", "in-qa", "in-transit", "missing", "broken"], BeforeValidator(as_plain)]
Way = Annotated[Literal["exchange", "renames", "retag", "clone", "copy"], BeforeValidator(as_plain)]
#: A newer release may have others.
Phase = Annotated[
    str,
    InstanceOf(),
    Field(json_schema_extra={"enum": ["survey", "copy", "check", "read back", "remove", "verify", "project IDs"]}),
]
ExitStatus = Annotated[int, Field(description="The exit status of the program.", json_schema_extra=add_statuses(0, 1))]


class ErrorEntry(TypedDict):
    """The code is stable; message and hint are for people."""

    code: Annotated[str, Field(json_schema_extra=add_codes)]
    message: Words
    hint: Words
