"""The steps that remove what interrupted runs left, and what earlier ones could not remove."""

from __future__ import annotations

from conveyor.capabilities.hook import StepResult
from conveyor.engine.copy_progress import clear_progress
from conveyor.engine.lingering import remove_what_is_over
from conveyor.engine.links import clean_up, remove_left_behind, remove_peers
from conveyor.engine.retagging import abandon_retag
from conveyor.engine.steps.base import EngineStep, Run
from conveyor.engine.steps.qa_folder import close_qa_folder, link_home
from conveyor.engine.way_over import clear_trial
from conveyor.filesystem.posix import Kind
from conveyor.layout import PEER, PROJECTS, VERDICT, temporary_name


class CleanUp(EngineStep):
    """Remove the links that no bridge leads over any more, and what runs that were interrupted left.

    That is staged links and copies, half-written documents and the progress file.
    """

    name = "tidy"
    text = "tidy up"

    def perform(self, run: Run) -> StepResult:
        spool, qa = run.endpoints.spool, run.endpoints.qa
        cleared = [clean_up(end, name) for end in (spool, qa) for name in run.names]
        cleared.append(remove_peers(run.endpoints, run.names))
        cleared.append(run.weblogs.clean_up())
        cleared.append(clear_progress(spool))
        cleared.append(clear_trial(run.endpoints))
        marker, verdict = temporary_name(run.capability.marker.name), temporary_name(VERDICT)
        if qa.kind(marker) is Kind.FILE:
            run.fs.unlink(qa.root, marker)
            cleared.append(True)
        for name in run.names:
            if not any(end.kind(name) is Kind.DIRECTORY for end in (spool, qa)):
                abandon_retag(run.endpoints, name)  # somebody removed it
            if spool.meta_kind(temporary_name(name + PROJECTS)) is Kind.FILE:
                run.fs.unlink(spool.meta, temporary_name(name + PROJECTS))
                cleared.append(True)
        if spool.meta_kind(verdict) is Kind.FILE:
            run.fs.unlink(spool.meta, verdict)
            cleared.append(True)
        return StepResult(any(cleared))


class RemoveLeftBehind(EngineStep):
    """Remove what earlier runs left of the sources of copies: for readers on other hosts, or since they could not remove it.

    What still cannot be removed stays.
    """

    name = "remove-left-behind"
    text = "remove what could not be removed before, or stayed for other hosts"

    def perform(self, run: Run) -> StepResult:
        ends = run.endpoints.spool, run.endpoints.qa
        removed = [remove_what_is_over(run.endpoints, run.names)]
        removed += [remove_left_behind(end, run.names) for end in ends]
        if any(removed) and run.endpoints.spool.meta_kind(PEER) is None:  # the request is home
            close_qa_folder(run.endpoints)
            if run.request.qa_link is not None:
                link_home(run.endpoints, run.request.qa_link)
        return StepResult(any(removed))
