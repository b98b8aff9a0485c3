"""What every command about requests has in common: from a metadata file to a request, and a failure into its outcome."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.capabilities.registry import Registry
from conveyor.documents import RequestsDocument, printed
from conveyor.engine.context import Request
from conveyor.engine.outcome import Outcome, exit_code
from conveyor.errors import ConfigurationError, ConveyorError, InternalError, WorkflowMissingError, foreseen
from conveyor.filesystem.treecopy.copy_options import CopyOptions
from conveyor.request.metadata import Metadata, read_metadata
from conveyor.request.places import find_roots, locate
from conveyor.weblog.reader import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from conveyor.capabilities.capability import Capability
    from conveyor.engine.outcome import EventCallback
    from conveyor.settings.model import Settings
    from conveyor.settings.sources import Config


def capture_errors(act: Callable[[Outcome], Outcome], outcome: Outcome) -> Outcome:
    """The outcome of an act; a failure is in it, a bug of ours too, so that other requests go on."""
    try:
        return act(outcome)
    except ConveyorError as error:
        return replace(outcome, error=error)
    except OSError as error:
        return replace(outcome, error=foreseen(error))
    except Exception as error:  # noqa: BLE001 - one request's bug must not stop the others
        import traceback

        bug = InternalError(f"{type(error).__name__}: {error}")
        bug.add_note(traceback.format_exc())
        return replace(outcome, error=bug)


def new_outcome(command: str, metadata: Path | str | Metadata, error: ConveyorError | None = None) -> Outcome:
    """The outcome of a command that has only begun."""
    source = None if isinstance(metadata, Metadata) else str(metadata)
    return Outcome(command, source, error=error)


def requests_document(command: str, outcomes: Sequence[Outcome], *, dry_run: bool = False) -> RequestsDocument:
    """Return the document of a command that looked at requests."""
    return printed(RequestsDocument, command, exit_code(list(outcomes)), dry_run=dry_run, requests=outcomes)


def log_error(outcome: Outcome, on_event: EventCallback) -> None:
    """Tell an observer what went wrong with a request, if anything did."""
    if (error := outcome.error) is not None:
        details: dict[str, object] = {"code": error.code, "hint": error.hint, "metadata": outcome.metadata}
        if notes := getattr(error, "__notes__", None):
            details["traceback"] = "\n".join(notes)
        on_event("error", error.message, **details)


def resolve_request(
    source: Path | str | Metadata, capability: str | None, config: Config, outcome: Outcome
) -> tuple[Request, Outcome]:
    """The request that a metadata file is about, and the outcome with what is known of it by now."""
    metadata = source if isinstance(source, Metadata) else read_metadata(Path(source))
    chosen = _choose(metadata, capability, config)
    places = locate(metadata, config.values, chosen.qa_area)
    settings = config.values
    request = Request(places, chosen, metadata.project_code, _limits(settings), _copying(settings))
    return request, replace(outcome, request=metadata.request, capability=chosen.name)


def every_request(config: Config) -> list[Path]:
    """The metadata file of every request in the spool root.

    Raises :class:`~conveyor.errors.ConfigurationError` where none is set, or it is not there.
    """
    root = find_roots(config.values).spool
    if not root.is_dir():
        raise ConfigurationError(f"the spool root {root} is not there", hint="is it mounted on this host?")
    return sorted(root.glob("*/metadata.json"))


def has_no_capability(error: ConveyorError | None) -> bool:
    """Whether it was no capability's request."""
    return error is not None and error.code in ("capability-unknown", "workflow-missing")


def _choose(metadata: Metadata, capability: str | None, config: Config) -> Capability:
    registry = Registry(config)
    if capability is not None:
        return registry.find(capability)
    if metadata.workflowName is None:
        raise WorkflowMissingError(
            "the metadata lacks the key $.workflowName, and no capability is named",
            hint=f"name one with -c: {', '.join(entry.name for entry in registry.everything())}",
        )
    return registry.for_workflow(metadata.workflowName)


def _limits(settings: Settings) -> Limits:
    return Limits(settings.weblog_max_bytes, settings.weblog_max_members, settings.weblog_max_ratio)


def _copying(settings: Settings) -> CopyOptions:
    options = CopyOptions(
        buffer=settings.copy_buffer,
        rounds=settings.copy_rounds,
        read_back=settings.copy_read_back,
        max_rate=settings.copy_max_rate,
        checkpoint=settings.copy_checkpoint,
    )
    return replace(options, workers=settings.copy_workers) if settings.copy_workers else options
