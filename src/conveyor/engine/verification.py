"""A delivered request checked against the manifests of its copies, at any later time. Nothing is changed, nothing held.

A conveyance that begins meanwhile is not kept waiting: what was found is worth nothing then, and is not told. Only who has
digests of clones put into the manifests holds the request, and is in its history.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Literal

from conveyor.engine.claim import Claim, held_error, optimistic_read
from conveyor.engine.conveyance import with_survey
from conveyor.engine.copy_progress import Pace
from conveyor.engine.endpoints import Endpoints
from conveyor.engine.event_log import History
from conveyor.engine.plan import Operation
from conveyor.engine.planner import make_plan
from conveyor.engine.staging import manifest
from conveyor.engine.survey import State, survey
from conveyor.errors import InterruptedRunError, LockedError, ManifestUnknownError, NotVerifiedError, RottedError
from conveyor.filesystem.treecopy.copy_options import CopyMonitor, PathAt
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.engine.context import Environment, Request
    from conveyor.engine.outcome import Outcome
    from conveyor.engine.survey import Survey
    from conveyor.errors import ConveyorError
    from conveyor.filesystem.treecopy.copy_options import Totals
    from conveyor.filesystem.treecopy.messages import Difference

_SHOWN = 5


@frozen
class Verified:
    """The changes in one directory since it was copied; paths are from it, "" is the directory itself.

    ``manifest`` is ``whole``; ``none`` if the directory was moved and not copied, so that nothing can be said; ``damaged``
    if it cannot be believed; ``unknown-format`` if another release of Conveyor wrote it in its own way. ``files`` and
    ``bytes`` were read; ``cloned`` and ``cloned_bytes`` were not, since they share their extents with what they were cloned
    from, so that nothing was ever compared: only that nobody wrote to them since is known. ``recorded`` are clones that have
    digests from now on. ``rotted`` is what nobody wrote
    to, and it is not what was written, or not there; ``changed`` has another content, ``touched`` only another time or mode;
    ``missing`` was removed, ``new`` was added.
    """

    directory: str
    manifest: Literal["whole", "none", "damaged", "unknown-format"]
    files: int = 0
    bytes: int = 0
    cloned: int = 0
    cloned_bytes: int = 0
    recorded: int = 0
    recorded_bytes: int = 0
    rotted: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    touched: tuple[str, ...] = ()
    new: tuple[str, ...] = ()

    @property
    def result(self) -> Literal["verified", "rotted", "not-verified"]:
        """The result in a word: ``not-verified`` unless all was compared, ``rotted`` if the manifest was damaged too."""
        if self.rotted or self.manifest == "damaged":
            return "rotted"
        compared = self.manifest == "whole" and not (self.cloned or self.recorded)
        return "verified" if compared else "not-verified"


def verify(
    request: Request, environment: Environment, outcome: Outcome, *, require_digests: bool = False, record: bool = False
) -> Outcome:
    """Read a request's data in the QA area, and compare them with the manifests.

    With ``record``, the manifests get the digests of clones that nobody wrote to, and the request is held meanwhile.

    The outcome's error is :class:`~conveyor.errors.RottedError` if something rotted, or a manifest did;
    :class:`~conveyor.errors.ManifestUnknownError` if this release does not know a manifest's format;
    :class:`~conveyor.errors.LockedError` where a conveyance runs, or ran meanwhile;
    :class:`~conveyor.errors.InterruptedRunError` where one was interrupted; and, if ``require_digests``,
    :class:`~conveyor.errors.NotVerifiedError` where there was nothing to compare with. Raises
    :class:`~conveyor.errors.ConveyorError` and :class:`OSError` where the request cannot be read.
    """
    with (_held if record else _looked_at)(request, environment) as endpoints:
        history = History(environment.host, outcome.command, request.capability.name, end=endpoints.spool)
        seen = survey(endpoints, request.capability)
        outcome = with_survey(outcome, seen)
        _check_that_it_is_settled(seen, request)
        names = [one.name for one in seen.directories if one.state is State.IN_QA]
        verified = tuple(_directory(endpoints, name, request, environment, record=record) for name in names)
        _add_to_history(history, verified)
    error = _rot_error(verified, request) or (_unverified_error(verified, request) if require_digests else None)
    return replace(outcome, verified=verified, error=error)


def _add_to_history(history: History, verified: tuple[Verified, ...]) -> None:
    """Add a line for each directory whose clones have digests from now on, if there is one, and the end of the run."""
    recorded = [one for one in verified if one.recorded]
    for one in recorded:
        history.add("record-digests", one.directory, "done", f"{one.recorded} files, {one.recorded_bytes} bytes")
    if recorded:
        history.end_run(None, 0, ())


@contextlib.contextmanager
def _looked_at(request: Request, environment: Environment) -> Iterator[Endpoints]:
    """The two ends, which nobody may hold, or have held at the end."""
    with (
        Endpoints(environment.fs, request.places, request.copying) as endpoints,
        optimistic_read(endpoints.spool, environment.host) as holder,
    ):
        if holder is not None:
            raise held_error(endpoints.spool, holder)
        yield endpoints


@contextlib.contextmanager
def _held(request: Request, environment: Environment) -> Iterator[Endpoints]:
    """The two ends, opened while they are held."""
    with (
        Endpoints(environment.fs, request.places, request.copying) as before,
        Claim(before.spool, environment.host) as claim,
        Endpoints(environment.fs, request.places, request.copying) as endpoints,
    ):
        claim.used = True
        yield endpoints
        if not claim.stands:
            raise LockedError(f"the claim on {request.places.spool} was taken away while it was read")


def _check_that_it_is_settled(seen: Survey, request: Request) -> None:
    if seen.state is State.BROKEN:
        make_plan(seen, request.capability, Operation.DELIVER)  # says why
    if seen.state is not State.IN_SPOOL and seen.state is not State.IN_QA:
        raise InterruptedRunError(
            f"{seen.places.spool} is {seen.state}: a conveyance was interrupted",
            hint="finish it by 'conveyor deliver', or bring it home by 'conveyor retrieve', then verify",
        )


def _directory(
    endpoints: Endpoints, name: str, request: Request, environment: Environment, *, record: bool
) -> Verified:
    place = manifest(endpoints, name)
    if endpoints.spool.meta_kind(place.name) is None:
        return Verified(name, "none")
    from conveyor.filesystem.treecopy.check_manifest import verify as check

    pace, found = Pace(monotonic), dict[str, list[str]]()

    def tell(one: Difference) -> None:
        found.setdefault(str(one.change), []).append(one.path)

    def progress(phase: str, done: Totals, total: Totals) -> None:
        environment.on_progress(request.places.request, pace.progress(name, phase, done, total))

    def stop() -> bool:
        if environment.stop():
            raise InterruptedRunError(
                f"asked to stop while verifying {endpoints.qa.path}", hint="run the same command again"
            )
        return False

    # What the kernel remembers of a file says nothing of the disk.
    options = replace(request.copying, read_back="disk")
    try:
        checked = check(
            PathAt(endpoints.qa.root, name), place, tell, options, CopyMonitor(progress, stop), record=record
        )
    except ManifestUnknownError:
        return Verified(name, "unknown-format")
    finally:
        environment.on_progress(request.places.request, None)
    if checked is None:
        return Verified(name, "damaged")
    became = {what: tuple(sorted(paths)) for what, paths in found.items()}
    read, cloned, recorded = checked.read, checked.cloned, checked.recorded
    return Verified(
        name,
        "whole",
        read.files,
        read.bytes,
        cloned.files,
        cloned.bytes,
        recorded.files,
        recorded.bytes,
        **became,
    )


def _rot_error(verified: tuple[Verified, ...], request: Request) -> ConveyorError | None:
    rotted = [str(request.places.qa / one.directory / path) for one in verified for path in one.rotted]
    reasons = []
    if rotted:
        more = f" and {len(rotted) - _SHOWN} more" if len(rotted) > _SHOWN else ""
        reasons.append(f"not what was written, although nobody wrote to it since: {', '.join(rotted[:_SHOWN])}{more}")
    if damaged := [one.directory for one in verified if one.manifest == "damaged"]:
        names = ", ".join(damaged)
        reasons.append(f"the manifest of {names} is damaged, or of a retrieval that was interrupted: it proves nothing")
    if reasons:
        hint = None if rotted else "no file is known to be damaged, none is proven: suspect the disk that spool is on"
        return RottedError("; ".join(reasons), hint=hint)
    if unknown := [one.directory for one in verified if one.manifest == "unknown-format"]:
        return ManifestUnknownError(
            f"not verified: another release of Conveyor wrote the manifest of {', '.join(unknown)}"
        )
    return None


def _unverified_error(verified: tuple[Verified, ...], request: Request) -> NotVerifiedError | None:
    unproven = {
        "moved, not copied": [one.directory for one in verified if one.manifest == "none"],
        "cloned, not copied": [one.directory for one in verified if one.cloned],
    }
    if reasons := [f"{how}: {', '.join(names)}" for how, names in unproven.items() if names]:
        hint = "read what was cloned, once, by 'conveyor verify --record': later verifications compare with that"
        clones = any(one.cloned for one in verified)
        message = f"there is nothing to compare with, of what was {' and '.join(reasons)}"
        return NotVerifiedError(message, hint=hint if clones else None)
    return None if verified else NotVerifiedError(f"{request.places.spool} is in spool: there is nothing to verify")
