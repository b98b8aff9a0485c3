"""Deliver, retrieve, QA fail and status, for one request or for many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.capabilities.registry import Registry
from conveyor.engine.context import Request, World
from conveyor.engine.conveyance import convey, look
from conveyor.engine.outcome import Observer, Outcome, nobody
from conveyor.engine.plan import Wish
from conveyor.errors import ConfigurationError, ConveyorError, InternalError, WorkflowMissingError, foreseen
from conveyor.request.metadata import Metadata, read_metadata
from conveyor.request.places import locate
from conveyor.settings.sources import LoadedSettings, load_settings
from conveyor.weblog.reader import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from conveyor.capabilities.strategy import Capability
    from conveyor.settings.model import Settings


def deliver(
    metadata: Path | str | Metadata,
    *,
    capability: str | None = None,
    dry_run: bool = False,
    settings: LoadedSettings | None = None,
    observer: Observer = nobody,
) -> Outcome:
    """Carry a finished request to its QA area, a link in the place of each directory.

    ``capability`` is by default the one that claims the metadata's workflow. Failures that Conveyor foresees are in the
    outcome's ``error``; :meth:`~conveyor.Outcome.raise_for_error` raises it.
    """
    return _convey(Wish.DELIVER, metadata, capability, settings or load_settings(), World(observer=observer), dry_run)


def retrieve(
    metadata: Path | str | Metadata,
    *,
    capability: str | None = None,
    dry_run: bool = False,
    settings: LoadedSettings | None = None,
    observer: Observer = nobody,
) -> Outcome:
    """Carry a request home from its QA area, with what analysts changed; see :func:`deliver` for the rest."""
    return _convey(Wish.RETRIEVE, metadata, capability, settings or load_settings(), World(observer=observer), dry_run)


def qa_fail(
    metadata: Path | str | Metadata,
    *,
    capability: str | None = None,
    dry_run: bool = False,
    settings: LoadedSettings | None = None,
    observer: Observer = nobody,
) -> Outcome:
    """Carry a request home, record that its QA failed, and clean up; see :func:`deliver` for the rest."""
    return _convey(Wish.QA_FAIL, metadata, capability, settings or load_settings(), World(observer=observer), dry_run)


def convey_all(
    wish: Wish,
    metadata: Sequence[Path],
    *,
    capability: str | None = None,
    dry_run: bool = False,
    settings: LoadedSettings | None = None,
    jobs: int | None = None,
    observer: Observer = nobody,
    stop: Callable[[], bool] = lambda: False,
) -> list[Outcome]:
    """Convey several requests, ``jobs`` at a time in processes of their own (default: the setting); one that fails stops
    no other. The outcomes are in the order of the metadata files. ``stop`` is asked between two steps.
    """
    loaded = settings or load_settings()
    world = World(observer=observer, stop=stop)

    def one(path: Path) -> Outcome:
        return _convey(wish, path, capability, loaded, world, dry_run)

    workers = min(jobs or loaded.settings.jobs, len(metadata))
    if workers <= 1:
        return [one(path) for path in metadata]
    from conveyor.commands.workers import in_processes

    return in_processes(one, metadata, workers, lost=lambda path, error: _outcome(str(wish), path, error=error))


def status(
    metadata: Sequence[Path] = (),
    *,
    capability: str | None = None,
    settings: LoadedSettings | None = None,
) -> list[Outcome]:
    """Where each request is now; without metadata files, every request in the spool root that a capability claims.

    Raises :class:`~conveyor.errors.ConfigurationError` where neither metadata files nor a spool root are given.
    """
    loaded = settings or load_settings()
    paths = list(metadata) or _requests(loaded)
    outcomes = [_status(path, capability, loaded) for path in paths]
    if not metadata:  # most requests in spool have nothing to do with QA
        outcomes = [outcome for outcome in outcomes if outcome.capability or not _unclaimed(outcome)]
    return outcomes


def _status(path: Path, capability: str | None, loaded: LoadedSettings) -> Outcome:
    def told(outcome: Outcome) -> Outcome:
        request, outcome = _prepare(path, capability, loaded, outcome)
        return look(request, World(), outcome)

    return _foreseen(told, _outcome("status", path))


def _requests(loaded: LoadedSettings) -> list[Path]:
    root = loaded.settings.spool_root
    if root is None:
        raise ConfigurationError(
            "no metadata file is given, and no spool root is set to look for them in",
            hint="name metadata files, or set CONVEYOR_SPOOL_ROOT",
        )
    if not root.is_dir():
        raise ConfigurationError(f"the spool root {root} is not there", hint="is it mounted on this host?")
    return sorted(root.glob("*/metadata.json"))


def _unclaimed(outcome: Outcome) -> bool:
    return outcome.error is not None and outcome.error.code in ("capability-unknown", "workflow-missing")


def _convey(
    wish: Wish,
    metadata: Path | str | Metadata,
    capability: str | None,
    loaded: LoadedSettings,
    world: World,
    dry_run: bool,
) -> Outcome:
    def conveyed(outcome: Outcome) -> Outcome:
        request, outcome = _prepare(metadata, capability, loaded, outcome)
        return convey(request, wish, world, outcome, dry_run=dry_run)

    outcome = _foreseen(conveyed, replace(_outcome(str(wish), metadata), dry_run=dry_run))
    if (error := outcome.error) is not None:
        details: dict[str, object] = {"code": error.code, "hint": error.hint, "metadata": outcome.metadata}
        if notes := getattr(error, "__notes__", None):
            details["traceback"] = "\n".join(notes)
        world.observer("error", error.message, **details)
    return outcome


def _foreseen(act: Callable[[Outcome], Outcome], outcome: Outcome) -> Outcome:
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


def _outcome(command: str, metadata: Path | str | Metadata, error: ConveyorError | None = None) -> Outcome:
    source = None if isinstance(metadata, Metadata) else str(metadata)
    return Outcome(command, source, error=error)


def _prepare(
    source: Path | str | Metadata, capability: str | None, loaded: LoadedSettings, outcome: Outcome
) -> tuple[Request, Outcome]:
    metadata = source if isinstance(source, Metadata) else read_metadata(Path(source))
    chosen = _choose(metadata, capability, loaded)
    places = locate(metadata, loaded.settings, chosen.qa_area)
    request = Request(places, chosen, metadata.project_code, _limits(loaded.settings))
    return request, replace(outcome, request=metadata.request, capability=chosen.name)


def _choose(metadata: Metadata, capability: str | None, loaded: LoadedSettings) -> Capability:
    registry = Registry(loaded)
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
