"""The POST script of a node: a request is conveyed behind a job, if the job succeeded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conveyor.commands.requests import begun, completed, prepare, tell_error
from conveyor.engine.context import World
from conveyor.engine.conveyance import convey, look
from conveyor.engine.journal import Journal
from conveyor.engine.outcome import LEVELS, Observer, Outcome, nobody

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conveyor.engine.plan import Wish
    from conveyor.htcondor.job_ending import JobEnding
    from conveyor.settings.sources import LoadedSettings

LOG = "post-script.jsonl"


def post_script(
    wish: Wish,
    metadata: Path,
    ending: JobEnding,
    *,
    settings: LoadedSettings,
    capability: str | None = None,
    dry_run: bool = False,
    observer: Observer = nobody,
    least: int | None = LEVELS["info"],
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Convey a request if its job succeeded; otherwise the outcome's error says how the job failed.

    What happens is told to ``observer``, and, from level ``least`` on, added to the request's own log (None: to none).
    """
    observers = [observer]

    def everybody(level: str, event: str, **details: object) -> None:
        for one in observers:
            one(level, event, **details)

    def conveyed(outcome: Outcome) -> Outcome:
        request, outcome = prepare(metadata, capability, settings, outcome)
        world = World(observer=everybody, stop=stop)
        if least is not None and not dry_run:
            always = {"request": request.places.request, "command": str(wish), **ending.told}
            observers.append(Journal(world.fs, request.places, LOG, least, always))
        if ending.error is not None:
            return look(request, world, outcome)
        everybody("info", "the job succeeded")
        return convey(request, wish, world, outcome, dry_run=dry_run)

    outcome = completed(conveyed, replace(begun(str(wish), metadata), dry_run=dry_run))
    # That the job failed is what the node has to tell, whatever else is wrong with the request.
    outcome = replace(outcome, error=ending.error or outcome.error)
    tell_error(outcome, everybody)
    if outcome.ok:
        everybody("info", f"{wish}: the request is {outcome.state} now")
    return outcome
