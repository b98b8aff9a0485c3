"""The planner is a pure function: every combination of what may stand at the two ends, and what is decided then."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from conveyor.capabilities.capability import Capability, Directory, Weblog
from conveyor.engine.plan import Operation, Plan, StepName
from conveyor.engine.planner import make_plan
from conveyor.engine.staging import CopySurvey
from conveyor.engine.survey import DirectorySurvey, EntryKind, Ownership, State, Survey
from conveyor.errors import ConveyorError
from conveyor.filesystem.posix import Kind
from conveyor.request.places import Places

CAPABILITY = Capability("test", ("test",), "qa2", (Directory("data"),), Weblog(directory="data"))
PLACES = Places("r", Path("/ws/spool/r"), Path("/ws/qa2"), Path("/ws/weblog-cache"), relative_links=True)


def survey_of(directory: DirectorySurvey, *, ready: bool = False, mark: Ownership = Ownership.NONE) -> Survey:
    return Survey(
        places=PLACES,
        directories=(directory,),
        area_found=True,
        area_writable=True,
        qa_kind=Kind.DIRECTORY if directory.qa is not EntryKind.NOTHING else None,
        qa_writable=True,
        qa_ownership=mark,
        spool_ownership=mark,
        spool_writable=True,
        meta_blocked=None,
        ready=ready,
        ready_is_ours=ready,
        verdict=False,
        weblog=None,
        weblogs_passed_over=(),
        weblog_cached=False,
        weblog_blocked=False,
        has_leftovers=False,
        unexpected=(),
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
    steps = [step.name for step in plan.steps]
    assert one.data_at is not None
    assert (StepName.DELIVER in steps) is (operation is Operation.DELIVER and one.data_at == "spool")
    assert (StepName.RETRIEVE in steps) is (operation is not Operation.DELIVER and one.data_at == "qa")
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
        and qa in (EntryKind.STRAY_LINK, EntryKind.OTHER, EntryKind.LINK)
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
    assert unfinished.steps[-1].name is StepName.WRITE_READY


# What becomes of a copy at one end and its source at the other: by where the data is wanted, and what was written to since.
SETTLED: dict[tuple[bool, bool, bool], list[str]] = {
    # wanted at the copy's end, copy changed, source changed
    (True, False, False): ["finish"],
    (True, True, False): ["finish"],
    (True, False, True): ["recall", "carry"],
    (False, False, False): ["recall"],
    (False, False, True): ["recall"],
    (False, True, False): ["finish", "carry"],
}


@pytest.mark.parametrize(("case", "wanted"), SETTLED.items())
@pytest.mark.parametrize("operation", [Operation.DELIVER, Operation.RETRIEVE])
def test_of_a_copy_and_its_source_the_one_that_was_written_to_stays(
    case: tuple[bool, bool, bool], wanted: list[str], operation: Operation
) -> None:
    """Where an interrupted run left both, the one that somebody wrote to stays; else the one that is where it is wanted."""
    at_wanted, copy_changed, source_changed = case
    at = "qa" if (operation is Operation.DELIVER) == at_wanted else "spool"
    copy = CopySurvey(at, True, copy_changed, source_changed)
    plan = decide(seen(EntryKind.DIRECTORY, EntryKind.DIRECTORY, copy=copy), operation, mark=Ownership.OURS)
    assert isinstance(plan, Plan)
    words = {StepName.FINISH_COPY: "finish", StepName.RECALL_COPY: "recall"}
    words |= {StepName.DELIVER: "carry", StepName.RETRIEVE: "carry"}
    assert [words[step.name] for step in plan.steps if step.name in words] == wanted


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("at", ["spool", "qa"])
def test_what_was_written_to_twice_is_never_chosen_between(in_place: bool, operation: Operation, at: str) -> None:
    """Where somebody wrote to the copy and to its source, both are kept, in both directions."""
    other = EntryKind.DIRECTORY if in_place else EntryKind.BRIDGE
    pair = (EntryKind.DIRECTORY, other) if at == "spool" else (other, EntryKind.DIRECTORY)
    copy = CopySurvey(at, in_place, copy_changed=True, source_changed=True)
    assert decide(seen(*pair, copy=copy), operation, mark=Ownership.OURS) == "both-sides"


def test_two_directories_without_a_mark_are_never_chosen_between() -> None:
    """Two real directories are a refusal, whose code tells whether the QA folder is ours."""
    assert (
        decide(seen(EntryKind.DIRECTORY, EntryKind.DIRECTORY), Operation.DELIVER, mark=Ownership.OURS) == "both-sides"
    )
    assert decide(seen(EntryKind.DIRECTORY, EntryKind.DIRECTORY, ours=False), Operation.DELIVER) == "conflict"
