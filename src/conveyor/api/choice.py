"""The capability of a request: the one that is named, else the one that it is out with, else the one of its workflow."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from conveyor.documents.codec import load
from conveyor.documents.kept_documents import Ready
from conveyor.engine.event_log import last_capability
from conveyor.errors import (
    CapabilityDuplicateError,
    CapabilityMismatchError,
    CapabilityUnknownError,
    ConfigurationError,
    WorkflowMissingError,
)
from conveyor.filesystem.posix import read_named
from conveyor.layout import HISTORY, META_DIR, PEER, READY
from conveyor.request.places import find_roots

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from conveyor.capabilities.capability import Capability
    from conveyor.capabilities.registry import Registry
    from conveyor.request.metadata import Metadata
    from conveyor.settings.model import Settings

_LIMIT = 64 * 1024 * 1024  # bytes; a line of a history has some 300


def choose(metadata: Metadata, named: str | None, registry: Registry, settings: Settings, command: str) -> Capability:
    """Return the capability of a request, for a command: ``named``, if one is.

    Raises :class:`~conveyor.errors.CapabilityMismatchError` if it is not the one that the request is out with, or if a
    delivery would go to another QA area than that of the request's workflow; and as :meth:`Registry.find` does.
    """
    out_with = _out_with(metadata, registry, settings)
    if named is None:
        return out_with or of_workflow(metadata, registry)
    chosen = registry.find(named)
    if command not in ("deliver", "retrieve", "qa-fail"):
        return chosen
    if out_with is not None:
        if out_with.name != named:
            raise CapabilityMismatchError(
                f"{metadata.request} was delivered with the capability {out_with.name!r}, not with {named!r}"
            )
    elif command == "deliver" and (other := _claims_another_area(metadata, chosen, registry)):
        raise CapabilityMismatchError(
            f"the workflow {metadata.workflowName!r} of {metadata.request} is one of the capability {other.name!r}, "
            f"which delivers to {other.qa_area}, not of {named!r}, which delivers to {chosen.qa_area}"
        )
    return chosen


def of_workflow(metadata: Metadata, registry: Registry) -> Capability:
    """Return the capability that claims the workflow of a request. Raises as :meth:`Registry.for_workflow` does."""
    if metadata.workflowName is None:
        raise WorkflowMissingError(
            "the metadata have no workflowName, and no capability is named",
            hint=f"name one with -c: {', '.join(entry.name for entry in registry.everything())}",
        )
    return registry.for_workflow(metadata.workflowName)


def _claims_another_area(metadata: Metadata, chosen: Capability, registry: Registry) -> Capability | None:
    """Return the capability of the request's workflow if it delivers to another QA area than the chosen one."""
    with suppress(CapabilityUnknownError, CapabilityDuplicateError, WorkflowMissingError):
        claimed = of_workflow(metadata, registry)
        return claimed if claimed.qa_area != chosen.qa_area else None
    return None


def _out_with(metadata: Metadata, registry: Registry, settings: Settings) -> Capability | None:
    """Return the capability that a request was delivered with; None if it is at home, or nothing that is known tells."""
    spool = metadata.destinationDirectory
    name = None
    with suppress(ConfigurationError):
        qa = find_roots(settings, spool).qa
        name = _in_a_receipt(qa / area / spool.name / READY for area in registry.near_areas)
    name = name or _in_history(spool / META_DIR)
    if name is None:
        return None
    with suppress(CapabilityUnknownError, CapabilityDuplicateError, WorkflowMissingError):
        if (claimed := of_workflow(metadata, registry)).name == name:
            return claimed
    with suppress(CapabilityUnknownError):  # it had another name when the request was delivered
        return registry.find(name)
    return None


def _in_a_receipt(receipts: Iterable[Path]) -> str | None:
    """Return the capability that the first receipt of the request says; None if there is none."""
    for path in receipts:
        with suppress(OSError, ValueError):
            receipt = load(Ready, read_named(path, limit=_LIMIT))
            if receipt["request"] == path.parent.name:
                return receipt["capability"]
    return None


def _in_history(meta: Path) -> str | None:
    """Return the capability of the last conveyance of a request that is out: on its way home READY is gone before all."""
    with suppress(OSError, ValueError):
        if not ((meta / PEER).is_symlink() or (meta / PEER).is_file()):
            return None
        return last_capability(read_named(meta / HISTORY, limit=_LIMIT))
    return None
