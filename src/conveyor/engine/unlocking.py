"""Give up a claim whose holder is gone, as an operator says, and no rule of this host's can know."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conveyor.engine.claim import Claim, Holder, current_claim, held
from conveyor.engine.conveyance import look
from conveyor.engine.ends import Ends
from conveyor.engine.history import History
from conveyor.errors import LockedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.engine.context import Request, World
    from conveyor.engine.outcome import Outcome

_COMMAND = "unlock"


def give_up_claim(request: Request, world: World, outcome: Outcome, sure: Callable[[Holder], bool]) -> Outcome:
    """Take the request's claim in the place of its holder, where ``sure`` says that it is gone, and give it back.

    So whatever keeps two conveyances apart keeps two operators apart too. Raises :class:`~conveyor.errors.LockedError`
    where the holder is alive on this host, or ``sure`` says no.
    """
    with Ends(world.fs, request.places) as ends:
        text = current_claim(ends.spool, world.host)
        if text is not None:
            holder = Holder.parse(text)
            if world.host.sees(holder.process):
                raise LockedError(
                    f"the holder of {ends.spool.path} is alive on this host: {holder}",
                    hint=f"wait for it, or end it (kill {holder.process.pid}); its claim needs no unlocking then",
                )
            if not sure(holder):
                raise held(ends.spool, text)
            with Claim(ends.spool, world.host, disregard=text) as claim:
                claim.used = True
                history = History(ends.spool, world.host.this_process(), _COMMAND, request.capability.name)
                history.add(_COMMAND, "", "done", f"gave up the claim of {holder}", durable=True)
            outcome = replace(outcome, changed=True)
    return look(request, world, outcome)
