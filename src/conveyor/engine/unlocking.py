"""Give up a claim whose holder is gone, as an operator says, and no rule of this host's can know."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from conveyor import layout
from conveyor.engine.claim import Claim, Holder, current_claim, held_error
from conveyor.engine.conveyance import look
from conveyor.engine.endpoints import Endpoints
from conveyor.engine.event_log import History
from conveyor.errors import LockedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.engine.claim import ClaimNames
    from conveyor.engine.context import Environment, Request
    from conveyor.engine.endpoints import Endpoint
    from conveyor.engine.host import Host
    from conveyor.engine.outcome import Outcome

_COMMAND = "unlock"


def give_up_claim(
    request: Request, environment: Environment, outcome: Outcome, sure: Callable[[Holder], bool]
) -> Outcome:
    """Take the request's claim in the place of its holder, where ``sure`` says that it is gone, and give it back.

    So whatever keeps two conveyances apart keeps two operators apart too. Raises :class:`~conveyor.errors.LockedError`
    where the holder is alive on this host, or ``sure`` says no.
    """
    with Endpoints(environment.fs, request.places) as endpoints:
        for names in (layout.claim, layout.qa_claim):  # on the request, and on what people said of it
            if _give_up(endpoints.spool, environment.host, request.capability.name, sure, names):
                outcome = replace(outcome, changed=True)
    return look(request, environment, outcome)


def _give_up(spool: Endpoint, host: Host, capability: str, sure: Callable[[Holder], bool], names: ClaimNames) -> bool:
    """Give up the claim that has these names; False if there is none to give up."""
    text = current_claim(spool, host, names)
    if text is None:
        return False
    holder = Holder.parse(text)
    if host.is_alive(holder.process):
        raise LockedError(
            f"the holder of {spool.path} is alive on this host: {holder}",
            hint=f"wait for it, or end it (kill {holder.process.pid}); its claim needs no unlocking then",
        )
    if not sure(holder):
        raise held_error(spool, text)
    with Claim(spool, host, disregard=text, names=names) as claim:
        claim.used = True
        history = History(host, _COMMAND, capability, end=spool)
        history.add(_COMMAND, "", "done", f"gave up the claim of {holder}", durable=True)
    return True
