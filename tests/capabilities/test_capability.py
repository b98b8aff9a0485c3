"""What a capability declares: descriptions that make no sense are refused, claims have a strength."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING, Any

import pytest

from conveyor import Capability, Directory, Weblog
from conveyor.capabilities.builtin import CALIBRATION, IMAGING
from conveyor.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

DIRECTORIES = (Directory("products"),)


def test_the_built_in_ones_are_what_they_have_to_be() -> None:
    """Calibration goes to qa2 and needs all three directories; imaging goes to image-qa and may lack raw data."""
    assert (CALIBRATION.qa_area, IMAGING.qa_area) == ("qa2", "image-qa")
    needed = {one: {each.name: each.required for each in one.directories} for one in (CALIBRATION, IMAGING)}
    assert needed[CALIBRATION] == {"rawdata": True, "products": True, "working": True}
    assert needed[IMAGING] == {"rawdata": False, "products": True, "working": True}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Directory(""), "one plain name, not ''"),
        (lambda: Directory("a/b"), "one plain name, not 'a/b'"),
        (lambda: Directory(".."), "one plain name, not '..'"),
        (lambda: Directory("a\0b"), "one plain name"),
        (lambda: Directory(".conveyor"), "the name is Conveyor's own"),
        (lambda: Directory("READY"), "the name is Conveyor's own"),
        (lambda: Directory("metadata.json"), "the name is Conveyor's own"),
        (lambda: Directory(".READY.new"), "the name is Conveyor's own"),
        (lambda: Directory("ä" * 120), "a directory's name must have at most 238 bytes"),
        (lambda: Capability("", (), "qa2", DIRECTORIES), "a capability's name must be one plain name"),
        (lambda: Capability("a", (), "qa/2", DIRECTORIES), "the QA area of 'a' must be one plain name"),
        (lambda: Capability("a", (), "qa2", ()), "'a' has no directories to convey"),
        (lambda: Capability("a", (), "qa2", DIRECTORIES * 2), "'a' names a directory twice: products, products"),
        (
            lambda: Capability("a", (), "qa2", (Directory("working"),)),
            "'a' looks for its weblog in 'products', which is not one of its directories: working",
        ),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(make: Callable[[], object], says: str) -> None:
    """Each mistake has one sentence that names the capability and what is wrong."""
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert says in caught.value.message


@pytest.mark.parametrize(
    "wrong",
    [
        {"workflows": ("vlass_*")},
        {"workflows": None},
        {"workflows": (5,)},
        {"directories": Directory("products")},
        {"directories": "products"},
        {"directories": ("products",)},
        {"before_delivery": "check"},
        {"after_retrieval": ("check",)},
    ],
    ids=str,
)
def test_one_value_is_not_taken_for_several(wrong: dict[str, Any]) -> None:
    """A comma that was forgotten does not make a list of letters, nor does one object pass for several of its kind."""
    right: dict[str, Any] = {"name": "a", "workflows": (), "qa_area": "qa2", "directories": DIRECTORIES}
    with pytest.raises(ConfigurationError, match=r"must (be a tuple|each be a)"):
        Capability(**(right | wrong))


def test_one_pattern_is_not_taken_for_several() -> None:
    """The patterns of a weblog are a tuple too."""
    pattern: Any = "*.tgz"
    with pytest.raises(ConfigurationError, match="must be a tuple"):
        Weblog(patterns=pattern)


def test_a_capability_without_a_weblog_needs_no_products() -> None:
    """Where there is no weblog to cache, any directories will do."""
    assert Capability("a", (), "qa2", (Directory("working"),), weblog=None).weblog is None


def test_an_exact_name_is_a_stronger_claim_than_a_pattern() -> None:
    """A workflow is claimed by name, by pattern with case, or not at all; brackets in a name are only themselves."""
    capability = Capability("a", ("std_one", "vlass_*", "odd[1]"), "qa2", DIRECTORIES)
    claims = {name: capability.claim(name) for name in ("std_one", "vlass_quicklook", "VLASS_x", "std_on", "odd[1]")}
    assert claims == {"std_one": 2, "vlass_quicklook": 1, "VLASS_x": 0, "std_on": 0, "odd[1]": 2}


@pytest.mark.parametrize(
    ("name", "is_weblog"),
    [
        ("weblog.tgz", True),
        ("uid___A001_X1.hifa_calimage.weblog.tgz", True),
        ("weblog.tar.gz", True),
        ("old.weblog.tar", True),
        ("weblog.tgz.part", False),
        ("weblog.zip", False),
        ("unknown.session_1.caltables.tgz", False),
        (".weblog.tgz.swp", False),
        ("._weblog.tgz", False),
        (".weblog.tgz", False),
    ],
)
def test_weblogs_are_known_by_their_names(name: str, is_weblog: bool) -> None:
    """The pipeline's weblog tars match, its other tars and unfinished files do not."""
    assert Weblog().matches(name) == is_weblog


def test_a_description_cannot_be_changed_afterwards() -> None:
    """What one conveyance uses is what was declared."""
    with pytest.raises(FrozenInstanceError):
        CALIBRATION.qa_area = "elsewhere"  # type: ignore[misc]  # that it is frozen is what is tested
