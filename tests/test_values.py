"""Frozen values behave as the dataclasses of Python's library."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import conveyor
from conveyor.values import frozen


@frozen
class Ours:
    """A value with every kind of field."""

    first: int
    second: str = "two"
    made: list[int] = field(default_factory=list, compare=False)
    unseen: int = field(default=4, repr=False)
    later: dict[str, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self.first < 0:
            raise ValueError("negative")

    @cached_property
    def twice(self) -> int:
        return 2 * self.first


@dataclass(frozen=True)
class Theirs:
    """The same, by Python's library."""

    first: int
    second: str = "two"
    made: list[int] = field(default_factory=list, compare=False)
    unseen: int = field(default=4, repr=False)
    later: dict[str, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self.first < 0:
            raise ValueError("negative")

    @cached_property
    def twice(self) -> int:
        return 2 * self.first


@frozen
class Wider(Ours):
    """A value with one field more than another."""

    last: int = 6


@frozen
class Plain:
    """A value without fields."""


both = pytest.mark.parametrize("kind", [Ours, Theirs])


def test_the_constructor_is_the_same() -> None:
    """Parameters, their annotations and defaults are those of the library's, but for what says "made anew"."""
    ours, theirs = (inspect.signature(kind).parameters.values() for kind in (Ours, Theirs))
    assert [(one.name, one.annotation, one.kind) for one in ours] == [
        (one.name, one.annotation, one.kind) for one in theirs
    ]


@both
def test_fields_have_their_defaults(kind: Any) -> None:
    """What is left out is the default, or made anew for each value; what follows the constructor is checked."""
    one, other = kind(1), kind(first=1, made=[3])
    assert asdict(one) == {"first": 1, "second": "two", "made": [], "unseen": 4, "later": {}}
    assert (one.made, other.made, one.twice) == ([], [3], 2)
    assert one.later is not other.later
    with pytest.raises(
        TypeError, match=rf"{kind.__name__}.__init__\(\) missing 1 required positional argument: 'first'"
    ):
        kind()
    with pytest.raises(ValueError, match="negative"):
        kind(-1)


@both
def test_values_are_compared_by_their_fields(kind: Any) -> None:
    """Equal values are of one class; a field may be left out of it, and what has no hash makes the value have none."""
    assert kind(1, made=[7]) == kind(1)
    assert kind(1) != kind(2)
    assert kind(1) != (1, "two", 4, {})
    with pytest.raises(TypeError, match="unhashable"):
        hash(kind(1))  # a dictionary is among what is compared


@both
def test_nothing_is_assigned(kind: Any) -> None:
    """A field is neither set nor deleted afterwards."""
    one = kind(1)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'first'"):
        one.first = 2
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'first'"):
        del one.first


@both
def test_values_are_shown_and_copied(kind: Any) -> None:
    """A value is shown with its fields, and is the same after it was copied, replaced or pickled."""
    one = kind(1, made=[2])
    assert repr(one) == f"{kind.__name__}(first=1, second='two', made=[2], later={{}})"
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one
    assert replace(one, first=3).first == 3


def test_a_value_may_have_the_fields_of_another() -> None:
    """Fields are inherited, and values of two classes are never equal."""
    assert [one.name for one in fields(Wider)] == ["first", "second", "made", "unseen", "later", "last"]
    assert Wider(1).last == 6
    assert Wider(1) != Ours(1)
    assert {Plain(): 1}[Plain()] == 1


def test_no_class_compiles_what_values_share() -> None:
    """Frozen classes are made by ``frozen``; those with slots, of which there are many values, by Python's library."""
    modules = Path(conveyor.__file__).parent.rglob("*.py")
    assert [path.name for path in modules if "@dataclass(frozen=True)\n" in path.read_text()] == []
