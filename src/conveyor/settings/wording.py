"""The words for mistakes in what people write: values that do not fit, and names that are nearly right."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic_core import ErrorDetails

_SHOWN = 120  # characters of a wrong value that a message shows
# What a value must be, by the type of pydantic's error (pydantic's documentation, "Validation Errors").
_MUST_BE: Mapping[str, str] = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "path_type": "a path in quotes",
    "tuple_type": "a list in square brackets",
    "list_type": "a list in square brackets",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dataclass_type": "a table",
    "dataclass_exact_type": "a table",
}


def shown(value: object) -> str:
    """Return a wrong value as a message shows it."""
    try:
        text = repr(value)
    except RecursionError:
        text = "what is nested too deeply"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def problem(error: ErrorDetails) -> str:
    """Return what is wrong with a value, for people, from what pydantic says: the end of a sentence about it."""
    kind, value, context = error["type"], error.get("input"), error.get("ctx", {})
    if kind == "value_error":
        return error["msg"].removeprefix("Value error, ")
    if kind == "missing":
        return "is missing"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return "is not known"
    if kind == "literal_error":
        return f"must be one of {context.get('expected')}, not {shown(value)}"
    if kind == "greater_than":
        return f"must be above {context.get('gt')}, not {shown(value)}"
    if kind in _MUST_BE:
        return f"must be {_MUST_BE[kind]}, not {shown(value)}"
    return f"is wrong: {error['msg']}, not {shown(value)}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the one of the known names that was probably meant; None if none is near."""
    from difflib import get_close_matches

    by_folded = {one.lower().replace("-", "_"): one for one in known}
    near = get_close_matches(name.lower().replace("-", "_"), by_folded, n=1, cutoff=0.65)
    return by_folded[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return a hint for a name that is not known: the nearest one, or ``otherwise`` if none is near."""
    near = nearest(name, known)
    return f"did you mean {near}?" if near else otherwise
