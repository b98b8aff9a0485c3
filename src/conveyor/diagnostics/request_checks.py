"""Checks of the requests: where each is, who holds it, and what to run next."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from conveyor.api.sizes import to_tidy_text
from conveyor.diagnostics.area_checks import out_of_reach
from conveyor.diagnostics.findings import error, guarded, info, ok, warning
from conveyor.diagnostics.orphans import is_orphan
from conveyor.diagnostics.workspace import SPOOL
from conveyor.engine.plan import Operation
from conveyor.engine.survey import Ownership, State
from conveyor.errors import (
    AreaNotMountedError,
    DirectoryMissingError,
    MetadataMissingError,
    RequestMissingError,
    WeblogMissingError,
)
from conveyor.request.naming import typed_name
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conveyor.api.area_listings import QaFolder
    from conveyor.api.request_state import Glance
    from conveyor.diagnostics.findings import Finding
    from conveyor.diagnostics.workspace import Options, RequestUnderTest, Workspace
    from conveyor.engine.claim import Holder
    from conveyor.weblog.cache_look import CacheState

_INTERRUPTED = {
    Operation.DELIVER: "a delivery was interrupted",
    Operation.RETRIEVE: "a retrieval was interrupted",
    Operation.QA_FAIL: "a retrieval after a failed QA was interrupted",
}
_OPPOSITE = {
    Operation.DELIVER: Operation.RETRIEVE,
    Operation.RETRIEVE: Operation.DELIVER,
    Operation.QA_FAIL: Operation.DELIVER,
}


def requests(workspace: Workspace) -> Iterator[Finding]:
    """Check each request that was named, or else each that :mod:`conveyor.api.overview` has.

    One cause is one finding: requests of an area that is out of reach are counted there, and a renamed QA folder is told as
    that.
    """
    yield from _listing(workspace)
    if workspace.listed is not None and workspace.listed.spool.error is not None:
        return  # what is known of them comes from the QA areas
    closed = {area.path for area in out_of_reach(workspace)}
    renamed = {one.home: one for one in workspace.folders if one.home is not None and _has_left(one)}
    orphans = {one.path.name for one in workspace.folders if is_orphan(one)}  # which are told as that
    for one in workspace.requests:
        if one.qa is not None and one.qa.parent in closed:
            continue
        if one.is_listed and isinstance(one.error, RequestMissingError) and one.metadata.parent.name in orphans:
            continue
        if one.spool is not None and (folder := renamed.get(one.spool.parent.resolve() / one.spool.name)) is not None:
            yield _renamed(one.spool.name, folder)
            continue
        yield from guarded(_findings(workspace.options, one), "request", one.name)


def _has_left(folder: QaFolder) -> bool:
    """Tell whether a QA folder was renamed, and is not a copy that stands beside its original."""
    if folder.home is None or not folder.is_renamed:
        return False
    try:
        return not folder.path.with_name(folder.home.name).exists()
    except OSError:  # told with the request
        return False


def _renamed(name: str, folder: QaFolder) -> Finding:
    named = folder.path.with_name(name)
    what = f"its QA folder was renamed: it is {folder.path} now"
    advice = "nothing can be conveyed until it has its name again:"
    return error(name, what, advice, shlex.join(["mv", str(folder.path), str(named)]))


def _listing(workspace: Workspace) -> Iterator[Finding]:
    """What the listing of all requests says of itself: that it could not be made, found none, or left some out."""
    listed = workspace.listed
    if (listed is None or listed.spool.error is not None) and not workspace.options.metadata:
        yield info(SPOOL, "not looked at, since it cannot be opened")
    if listed is None:
        return
    told = {area.path for area in workspace.areas if area.handle is None}  # with the area, as a missing marker is
    for one in listed.unlisted:
        if one.error is not None and one.path not in told and not isinstance(one.error, AreaNotMountedError):
            yield error(one.path.name, f"{one.path} cannot be listed: {one.error.message}", one.error.hint)
    others = f"; {listed.not_shown_text}" if listed.not_shown else ""
    if not listed.entries and listed.spool.error is None:
        is_explained = len(listed.spool.names) == sum(listed.not_shown.values())
        found = ok if is_explained else info
        yield found(SPOOL, f"no requests that Conveyor handles in {listed.spool.path}{others}")
    elif others:
        yield info(SPOOL, listed.not_shown_text)


def _findings(options: Options, under_test: RequestUnderTest) -> Iterator[Finding]:
    problem = under_test.error
    if isinstance(problem, MetadataMissingError):
        name = under_test.metadata.parent.name if under_test.is_listed else under_test.name
        check = "lost-metadata" if under_test.is_listed else "request"
        yield replace(error(name, problem.message, problem.hint), check=check)
    elif problem is not None:
        yield error(under_test.name, problem.message, problem.hint)
    elif under_test.glance is not None:
        yield from _RequestCheck(options, under_test.metadata, under_test.glance, under_test.name).findings()


@frozen
class _RequestCheck:
    """The check of one request; ``name`` is what its findings call it."""

    options: Options
    metadata: Path
    glance: Glance
    name: str

    def findings(self) -> Iterator[Finding]:
        glance, seen = self.glance, self.glance.survey
        if glance.is_held and glance.holder is not None:
            yield _of_holder(self._held(glance.holder, is_alive=glance.is_alive is True))
        elif not glance.is_steady:
            what = "changed while it was looked at: a conveyance runs, or has just ended"
            yield info(self.name, what, "look again:", self._command("doctor"))
        elif seen.state is State.IN_TRANSIT:
            yield self._interrupted(glance.begun, glance.holder)
        elif seen.state is State.BROKEN:
            yield self._broken()
        else:
            yield self._at_rest()
            if glance.holder is not None:
                what = f"a claim is left of {glance.holder}, which no longer runs: the next conveyance takes it over"
                yield _of_holder(info(self.name, what))
        if seen.lingering:
            what = to_tidy_text(len(seen.lingering))
            yield replace(info(self.name, what, "this removes it:", self._command("tidy")), check="left-over")
        if glance.cache is not None and not glance.is_held:
            yield from self._weblog(glance.cache)
        if seen.unexpected:
            what = f"in its QA folder, and not Conveyor's: {', '.join(seen.unexpected)}"
            advice = "a retrieval leaves them there; look whether anybody needs them"
            yield replace(info(self.name, what, advice), check="left-over")

    def _weblog(self, cache: CacheState) -> Iterator[Finding]:
        """Tell of the cached weblog of a request in QA that is gone, as a whole or in part."""
        place = self.glance.survey.places.weblog
        if cache.lost:
            what = f"its cached weblog is not whole any more: something removed files from {place}"
        elif not cache.cached and not cache.blocked:
            what = f"its cached weblog is gone: there is no {place}"
        else:
            return
        yield replace(warning(self.name, what, "this unpacks it again:", self._command("deliver")), check="weblog")

    def _held(self, holder: Holder, *, is_alive: bool) -> Finding:
        if is_alive:
            return info(self.name, f"is being conveyed by {holder}", "wait for it to end")
        return warning(
            self.name,
            f"is held by {holder}: whether that still runs cannot be told from this host",
            f"ask on {holder.process.host}, by the first of these. Only where that host is gone for good, run the second:",
            self._command("doctor"),
            self._command("unlock"),
        )

    def _interrupted(self, last: Operation, dead: Holder | None) -> Finding:
        """Name the commands that would not be refused, first that which finishes what was interrupted."""
        refused = {each: self.glance.refusals[each] for each in (last, _OPPOSITE[last])}
        commands = [self._command(str(each)) for each, refusal in refused.items() if refusal is None]
        who = f" ({dead}, no longer runs)" if dead else ""
        what = f"{_INTERRUPTED[last]}{who}, and nobody works on it; nothing is lost"
        if len(commands) == 2:
            return warning(self.name, what, "finish it by the first, or go back by the second:", *commands)
        operation, refusal = next((each, refusal) for each, refusal in refused.items() if refusal is not None)
        what += f"; '{operation}' is refused: {refusal.message}"
        if commands:
            return warning(self.name, what, "this goes on:", *commands)
        return error(self.name, what, refusal.hint)

    def _broken(self) -> Finding:
        refusal = self.glance.refusals[Operation.RETRIEVE] or self.glance.refusals[Operation.DELIVER]
        if not self.glance.survey.was_out and isinstance(refusal, DirectoryMissingError):
            return info(self.name, f"is not ready to be delivered: {refusal.message}", refusal.hint)
        what = f"needs a person: {refusal.message}" if refusal else "needs a person"
        advice = f"{refusal.hint}; the two places are:" if refusal else "look at both places:"
        seen = self.glance.survey
        elsewhere = seen.spool.peer if seen.spool.ownership is Ownership.STRAY else None
        places = (seen.places.spool, elsewhere or seen.places.qa)
        return error(self.name, what, advice, *(f"ls -la {shlex.quote(str(place))}" for place in places))

    def _at_rest(self) -> Finding:
        is_home = self.glance.survey.state is State.IN_SPOOL
        where, operation = ("in spool", Operation.DELIVER) if is_home else ("in QA", Operation.RETRIEVE)
        refusal = self.glance.refusals[operation]
        if refusal is None:
            return ok(self.name, where)
        severity = info if isinstance(refusal, DirectoryMissingError | WeblogMissingError) else warning
        return severity(self.name, f"{where}; '{operation}' would be refused: {refusal.message}", refusal.hint)

    def _command(self, name: str) -> str:
        named = typed_name(self.metadata, self.options.config.values.spool_root)  # a flag is repeated
        return shlex.join(["conveyor", name, *self.options.flags, named])


def _of_holder(finding: Finding) -> Finding:
    return replace(finding, check="holder")
