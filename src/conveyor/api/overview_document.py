"""The JSON documents of a status: the outcomes as ever, and beside them what an overview says of each request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conveyor.api.operations import new_outcome
from conveyor.api.overview import outcome_of
from conveyor.documents.codec import printed
from conveyor.documents.request_documents import OverviewDocument, RequestsDocument

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from conveyor.api.overview import Overview
    from conveyor.api.overview_entry import OverviewEntry
    from conveyor.engine.outcome import Outcome


def overview_document(found: Overview, chosen: Sequence[OverviewEntry], code: int) -> OverviewDocument:
    """Return the document of a status of a workspace, with the ``chosen`` entries, which ends with the status ``code``."""
    unlisted = [vars(new_outcome("status", one.path, one.error)) for one in found.unlisted]
    requests = unlisted + list(_requests((one, outcome_of(one)) for one in chosen))
    return printed(OverviewDocument, "status", code, dry_run=False, requests=requests, not_shown=dict(found.not_shown))


def entries_document(seen: Sequence[tuple[OverviewEntry, Outcome]], code: int) -> RequestsDocument:
    """Return the document of a status of the requests that were named."""
    return printed(RequestsDocument, "status", code, dry_run=False, requests=list(_requests(seen)))


def _requests(seen: Iterable[tuple[OverviewEntry, Outcome]]) -> Iterable[dict[str, Any]]:
    return (vars(outcome) | {"seen": seen_entry(entry)} for entry, outcome in seen)


def seen_entry(entry: OverviewEntry) -> dict[str, Any]:
    """Return what an overview says of a request, as :class:`~conveyor.documents.SeenEntry` has it."""
    holder = entry.holder
    return {
        "name": entry.name,
        "section": entry.section,
        "trouble": entry.trouble,
        "detail": entry.detail,
        "computing": entry.is_computing,
        "project": entry.project,
        "workflow": entry.workflow,
        "since": entry.since,
        "delivered": entry.delivered,
        "age_in_qa": entry.age_in_qa,
        "holder": holder and {**vars(holder.process), "since": holder.since, "alive": entry.holder_is_alive},
        "size": entry.size,
        "judgement": entry.verdict and vars(entry.verdict),
        "assigned": entry.assigned and vars(entry.assigned),
        "last_attempt": entry.last_attempt and vars(entry.last_attempt),
        "next_command": list(entry.next_command),
        "to_tidy": entry.to_tidy,
    }
