"""The planner is a pure function: every combination of what may stand at the two ends, and what is decided then."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from conveyor.capabilities.capability import Capability, Directory, Weblog
from conveyor.engine.endpoints import Location
from conveyor.engine.plan import Operation, Plan
from conveyor.engine.planner import make_plan
from conveyor.engine.staging import CopySurvey
from conveyor.engine.steps import CompleteCopy, Deliver, Retrieve, RollBackCopy, WriteMarker
from conveyor.engine.survey import (
    AreaSurvey,
    DirectorySurvey,
    EndpointSurvey,
    EntryKind,
    Ownership,
    State,
    Survey,
    WeblogSurvey,
)
from conveyor.errors import ConveyorError
from conveyor.filesystem.posix import Kind
from conveyor.request.places import Places

CAPABILITY = Capability("test", ("test",), "qa2", (Directory("data"),), Weblog(directory="data"))
PLACES = Places("r", Path("/ws/spool/r"), Path("/ws/qa2"), Path("/ws/weblog-cache"), relative_links=True)


def survey_of(directory: DirectorySurvey, *, ready: bool = False, mark: Ownership = Ownership.NONE) -> Survey:
    return Survey(
        places=PLACES,
        directories=(directory,),
        spool=EndpointSurvey(PLACES.spool, Kind.DIRECTORY, None, mark),
        qa=EndpointSurvey(PLACES.qa, Kind.DIRECTORY if directory.qa is not EntryKind.NOTHING else None, None, mark),
        area=AreaSurvey(found=True, writable=True),
        marker=Ownership.OURS if ready else Ownership.NONE,
        marker_name="READY",
        verdict=False,
        weblog=WeblogSurvey(),
        has_leftovers=False,
    )


def decide(
    directory: DirectorySurvey, operation: Operation, *, ready: bool = False, mark: Ownership = Ownership.NONE
) -> Plan | str:
    try:
        return make_plan(survey_of(directory, ready=ready, mark=mark), CAPABILITY, operation)
    except ConveyorError as error:
        return error.code


def seen(spool: EntryKind, qa: EntryKind, *, ours: bool = True, copy: CopySurvey | None = None) -> DirectorySurvey:
    return DirectorySurvey("data", True, spool, qa, ours, copy=copy)


PAIRS = list(itertools.product(EntryKind, EntryKind))


@pytest.mark.parametrize(("spool", "qa"), PAIRS)
@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("ours", [True, False])
def test_data_is_only_ever_moved_from_where_it_is(
    spool: EntryKind, qa: EntryKind, operation: Operation, ours: bool
) -> None:
    """Whatever stands at the two ends: a plan moves a directory from the end that has it, and a refusal moves nothing."""
    one = seen(spool, qa, ours=ours)
    plan = decide(one, operation, mark=Ownership.OURS if ours else Ownership.NONE)
    if isinstance(plan, str):
        return
    steps = [type(step) for step in plan.steps]
    assert one.data_at is not None
    assert (Deliver in steps) is (operation is Operation.DELIVER and one.data_at is Location.SPOOL)
    assert (Retrieve in steps) is (operation is not Operation.DELIVER and one.data_at is Location.QA)
    assert one.state in (State.IN_SPOOL, State.IN_QA, State.IN_TRANSIT)


@pytest.mark.parametrize(("spool", "qa"), PAIRS)
@pytest.mark.parametrize("operation", list(Operation))
def test_what_is_broken_is_refused(spool: EntryKind, qa: EntryKind, operation: Operation) -> None:
    """A directory whose state is broken or missing is refused in both directions, and no other one is, once it is ours."""
    one = seen(spool, qa)
    refused = isinstance(decide(one, operation, mark=Ownership.OURS), str)
    in_the_way = (
        operation is Operation.DELIVER
        and spool is EntryKind.DIRECTORY
        and qa in (EntryKind.STRAY_LINK, EntryKind.OTHER)
    )
    assert refused is (one.state in (State.BROKEN, State.MISSING) or in_the_way)


def test_a_finished_delivery_needs_no_step() -> None:
    """With the link, the directory and READY in place there is nothing to do; without READY it is written."""
    one = seen(EntryKind.LINK, EntryKind.DIRECTORY)
    done = decide(one, Operation.DELIVER, ready=True, mark=Ownership.OURS)
    assert isinstance(done, Plan)
    assert done.steps == ()
    unfinished = decide(one, Operation.DELIVER, mark=Ownership.OURS)
    assert isinstance(unfinished, Plan)
    assert unfinished.steps[-1] == WriteMarker(marker="READY")


# What becomes of a copy at one end and its source at the other: by where the data is wanted, and what was written to since.
SETTLED: dict[tuple[bool, bool, bool], list[str]] = {
    # wanted at the copy's end, copy changed, source changed
    (True, False, False): ["complete"],
    (True, True, False): ["complete"],
    (True, False, True): ["roll back", "move"],
    (False, False, False): ["roll back"],
    (False, False, True): ["roll back"],
    (False, True, False): ["complete", "move"],
}


@pytest.mark.parametrize(("case", "wanted"), SETTLED.items())
@pytest.mark.parametrize("operation", [Operation.DELIVER, Operation.RETRIEVE])
def test_of_a_copy_and_its_source_the_one_that_was_written_to_stays(
    case: tuple[bool, bool, bool], wanted: list[str], operation: Operation
) -> None:
    """Where an interrupted run left both, the one that somebody wrote to stays; else the one that is where it is wanted."""
    at_wanted, copy_changed, source_changed = case
    at = Location.QA if (operation is Operation.DELIVER) == at_wanted else Location.SPOOL
    copy = CopySurvey(at, True, copy_changed, source_changed)
    plan = decide(seen(EntryKind.DIRECTORY, EntryKind.DIRECTORY, copy=copy), operation, mark=Ownership.OURS)
    assert isinstance(plan, Plan)
    words: dict[type, str] = {CompleteCopy: "complete", RollBackCopy: "roll back", Deliver: "move", Retrieve: "move"}
    assert [words[type(step)] for step in plan.steps if type(step) in words] == wanted


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("at", list(Location))
def test_what_was_written_to_twice_is_never_chosen_between(in_place: bool, operation: Operation, at: Location) -> None:
    """Where somebody wrote to the copy and to its source, both are kept, in both directions."""
    other = EntryKind.DIRECTORY if in_place else EntryKind.BRIDGE
    pair = (EntryKind.DIRECTORY, other) if at is Location.SPOOL else (other, EntryKind.DIRECTORY)
    copy = CopySurvey(at, in_place, copy_changed=True, source_changed=True)
    assert decide(seen(*pair, copy=copy), operation, mark=Ownership.OURS) == "both-sides"


def test_two_directories_without_a_mark_are_never_chosen_between() -> None:
    """Two real directories are a refusal, whose code tells whether the QA folder is ours."""
    assert (
        decide(seen(EntryKind.DIRECTORY, EntryKind.DIRECTORY), Operation.DELIVER, mark=Ownership.OURS) == "both-sides"
    )
    assert decide(seen(EntryKind.DIRECTORY, EntryKind.DIRECTORY, ours=False), Operation.DELIVER) == "conflict"
