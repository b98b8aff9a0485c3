"""Frozen values: dataclasses of which only the constructor is compiled when the class is made.

:func:`dataclasses.dataclass` writes six methods of each frozen class as source and compiles them, which took a fifth of each
start of the program. Here all values share five of the six, which go by the fields.
"""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from functools import cache
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import Field

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(kind: type[_T]) -> type[_T]:
    """Make a class one of frozen values, as ``dataclass(frozen=True)`` does."""
    made = dataclass(init=False, repr=False, eq=False)(kind)
    for name, method in {"__init__": _constructor(made), **_METHODS}.items():
        if name not in vars(made):
            setattr(made, name, method)
    return made


def _constructor(kind: type) -> Any:
    """Return the ``__init__`` of a class of values."""
    every = fields(kind)
    names: dict[str, Any] = {"_set": object.__setattr__, "_MISSING": MISSING}
    names |= {f"_{one.name}": one.default_factory if _is_made(one) else one.default for one in every}
    given = [one for one in every if one.init]
    lines = [f"_set(self, {one.name!r}, {_source(one)})" for one in every]
    lines += ["self.__post_init__()"] * hasattr(kind, "__post_init__")
    body = "\n ".join(lines or ["pass"])
    exec(f"def __init__(self, {', '.join(map(_parameter, given))}):\n {body}", names)
    method: Any = names["__init__"]
    method.__qualname__ = f"{kind.__qualname__}.__init__"
    method.__annotations__ = {one.name: one.type for one in given} | {"return": None}
    return method


def _is_made(one: Field[Any]) -> bool:
    """Tell whether the default of a field is made anew for each value."""
    return one.default_factory is not MISSING


def _parameter(one: Field[Any]) -> str:
    """Return a field as a parameter of the constructor, which knows its default by its name."""
    if _is_made(one):
        return f"{one.name}=_MISSING"
    return one.name if one.default is MISSING else f"{one.name}=_{one.name}"


def _source(one: Field[Any]) -> str:
    """Return what the constructor sets a field to."""
    made = f"_{one.name}()" if _is_made(one) else f"_{one.name}"
    if not one.init:
        return made
    return f"{made} if {one.name} is _MISSING else {one.name}" if _is_made(one) else one.name


def _key(one: Any) -> object:
    """Return that by which a value is compared."""
    return _compared(one.__class__)(one)


@cache
def _compared(kind: Any) -> Callable[[object], object]:
    """Return what finds that of a value of a class."""
    names = [one.name for one in fields(kind) if one.compare]
    return attrgetter(*names) if names else lambda _: ()


class _Shared:
    """The methods that all values share."""

    @recursive_repr()
    def __repr__(self: Any) -> str:
        shown = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return _key(self) == _key(other)

    def __hash__(self) -> int:
        return hash(_key(self))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")


_METHODS = {name: vars(_Shared)[name] for name in ("__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__")}
