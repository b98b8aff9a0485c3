"""The operations on one request: deliver, retrieve, QA fail, status, verify, users and unlock.

Each resolves a metadata file to a request, and has the engine act on it. Several requests at a time: ``runners.py``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.api.choice import choose
from conveyor.api.distinct import distinct, repeated
from conveyor.capabilities.registry import Registry
from conveyor.engine.context import Environment, Request
from conveyor.engine.conveyance import convey
from conveyor.engine.copy_progress import ProgressCallback, no_progress
from conveyor.engine.outcome import EventCallback, Outcome, exit_code, no_events
from conveyor.engine.plan import Operation
from conveyor.errors import ConveyorError
from conveyor.filesystem.treecopy.copy_options import CopyOptions
from conveyor.request.metadata import Metadata, read_metadata
from conveyor.request.places import locate
from conveyor.settings.sources import Config, load_config
from conveyor.weblog.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from conveyor.documents.request_documents import RequestsDocument
    from conveyor.engine.claim import Holder
    from conveyor.settings.model import Settings

_DAY = 24 * 60 * 60  # seconds


def deliver(
    metadata: Path | str | Metadata,
    *,
    capability: str | None = None,
    dry_run: bool = False,
    config: Config | None = None,
    on_event: EventCallback = no_events,
    on_progress: ProgressCallback = no_progress,
) -> Outcome:
    """Carry a finished request to its QA area, leaving a link in the place of each directory.

    ``capability`` is by default the one that claims the metadata's workflow. Failures that Conveyor foresees are in the
    outcome's ``error``; :meth:`~conveyor.Outcome.raise_for_error` raises it.
    """
    environment = Environment(on_event=on_event, on_progress=on_progress)
    return _convey(Operation.DELIVER, metadata, capability, config, environment, dry_run)


def retrieve(
    metadata: Path | str | Metadata,
    *,
    capability: str | None = None,
    dry_run: bool = False,
    config: Config | None = None,
    on_event: EventCallback = no_events,
    on_progress: ProgressCallback = no_progress,
) -> Outcome:
    """Carry a request home from its QA area, with what analysts changed; see :func:`deliver` for the rest."""
    environment = Environment(on_event=on_event, on_progress=on_progress)
    return _convey(Operation.RETRIEVE, metadata, capability, config, environment, dry_run)


def qa_fail(
    metadata: Path | str | Metadata,
    *,
    reason: str | None = None,
    capability: str | None = None,
    dry_run: bool = False,
    config: Config | None = None,
    on_event: EventCallback = no_events,
    on_progress: ProgressCallback = no_progress,
) -> Outcome:
    """Carry a request home, record that its QA failed, and clean up; see :func:`deliver` for the rest.

    The verdict is kept with the request: who says so, when, and for what ``reason``.
    """
    environment = Environment(on_event=on_event, on_progress=on_progress)
    return _convey(Operation.QA_FAIL, metadata, capability, config, environment, dry_run, reason)


def _convey(
    operation: Operation,
    metadata: Path | str | Metadata,
    capability: str | None,
    config: Config | None,
    environment: Environment,
    dry_run: bool,
    reason: str | None = None,
) -> Outcome:
    act = partial(convey, operation=operation, environment=environment, dry_run=dry_run, reason=reason)
    return act_on_request(
        metadata,
        act,
        command=str(operation),
        capability=capability,
        config=config or load_config(),
        on_event=environment.on_event,
        dry_run=dry_run,
    )


def status(
    metadata: Iterable[Path | str] | Path | str = (),
    *,
    capability: str | None = None,
    config: Config | None = None,
) -> list[Outcome]:
    """Look at each request; without metadata files, at every one that a capability claims, and at whatever is out.

    An area that cannot be listed is an outcome with its path and its error. Raises
    :class:`~conveyor.errors.ConfigurationError` if neither metadata files nor a spool root are given.
    """
    from conveyor.api.overview import look_at, outcome_of, outcomes_of, overview

    config = config or load_config()
    files = distinct(several(metadata))
    if not files:
        return list(outcomes_of(overview(config, capability)))
    return [repeated(outcome_of(look_at(path, capability, config)), files) for path in files]


def verify(
    metadata: Path | str | Metadata,
    *,
    capability: str | None = None,
    config: Config | None = None,
    on_progress: ProgressCallback = no_progress,
    stop: Callable[[], bool] = lambda: False,
    require_digests: bool = False,
    record: bool = False,
) -> Outcome:
    """Read a delivered request in its QA area from the disk, and compare it with the manifests of its copies.

    The outcome's ``verified`` has a result for each directory. Changes that analysts made are no error; data that rotted
    are :class:`~conveyor.errors.RottedError`. A directory that was moved and not copied cannot be verified; with
    ``require_digests`` that is :class:`~conveyor.errors.NotVerifiedError`. Neither can clones, unless ``record`` reads
    them and puts their digests into the manifests. ``stop`` is called all the time. Nothing else is changed.
    """
    from conveyor.engine.verification import verify as check

    act = partial(
        check,
        environment=Environment(on_progress=on_progress, stop=stop),
        require_digests=require_digests,
        record=record,
    )
    return act_on_request(metadata, act, command="verify", capability=capability, config=config or load_config())


def users(
    metadata: Path | str | Metadata,
    *,
    capability: str | None = None,
    config: Config | None = None,
    require_nobody: bool = False,
) -> Outcome:
    """Look for those who have anything of a request open, if only to read: the outcome's ``users``.

    Processes of this host are seen, of other accounts by root only, and of other hosts those that hold a casacore table,
    where locks go to the file server. With ``require_nobody``, somebody is :class:`~conveyor.errors.InUseError`. Nothing
    is changed.
    """
    from conveyor.engine.occupancy import look_for_users

    act = partial(look_for_users, environment=Environment(), require_nobody=require_nobody)
    return act_on_request(metadata, act, command="users", capability=capability, config=config or load_config())


def unlock(
    metadata: Path,
    sure: Callable[[Holder], bool],
    *,
    capability: str | None = None,
    config: Config | None = None,
) -> Outcome:
    """Give up the claim on a request if ``sure``, called with its holder, says that it is gone for good.

    A request that is free, or whose holder is dead on this host, is left as it is. The outcome's error is
    :class:`~conveyor.errors.LockedError` if the holder is alive on this host, if ``sure`` says no, and if somebody else
    came before.
    """
    from conveyor.engine.unlocking import give_up_claim

    act = partial(give_up_claim, environment=Environment(), sure=sure)
    return act_on_request(metadata, act, command="unlock", capability=capability, config=config or load_config())


def several(metadata: Iterable[Path | str] | Path | str) -> list[Path]:
    """Return the metadata files that a caller means: a single path is one, and no list of its letters."""
    return [Path(metadata)] if isinstance(metadata, str | Path) else [Path(path) for path in metadata]


def act_on_request(
    metadata: Path | str | Metadata,
    act: Callable[..., Outcome],
    *,
    command: str,
    capability: str | None,
    config: Config,
    on_event: EventCallback = no_events,
    dry_run: bool = False,
    resolve: Callable[..., Request] | None = None,
) -> Outcome:
    """Resolve a request, and call ``act(request, outcome=...)`` with it and the outcome as far as it is known.

    An error, a bug of ours too, is logged and is in the outcome, so that other requests go on.
    """
    outcome, request = replace(new_outcome(command, metadata), dry_run=dry_run), None
    try:
        request = (resolve or partial(resolve_request, command=command))(metadata, capability, config)
        outcome = replace(outcome, request=request.places.request, capability=request.capability.name)
        outcome = act(request, outcome=outcome)
    except Exception as error:  # noqa: BLE001 - one request's bug must not stop the others
        outcome = replace(outcome, error=ConveyorError.from_exception(error))
    log_error(outcome, on_event)
    if config.values.receivers:
        from conveyor.api.notifying import leave_notice

        leave_notice(outcome, request, config, on_event)
    return outcome


def new_outcome(command: str, metadata: Path | str | Metadata, error: ConveyorError | None = None) -> Outcome:
    """Return the outcome of a command that has only begun."""
    source = None if isinstance(metadata, Metadata) else str(metadata)
    return Outcome(command, source, error=error)


def requests_document(
    command: str, outcomes: Sequence[Outcome], *, dry_run: bool = False, not_shown: Mapping[str, int] | None = None
) -> RequestsDocument:
    """Return the document of a command that looked at requests; of all of a workspace, with what was ``not_shown``."""
    from conveyor.documents.codec import printed
    from conveyor.documents.request_documents import OverviewDocument, RequestsDocument

    code = exit_code(list(outcomes))
    if not_shown is None:
        return printed(RequestsDocument, command, code, dry_run=dry_run, requests=outcomes)
    return printed(OverviewDocument, command, code, dry_run=dry_run, requests=outcomes, not_shown=dict(not_shown))


def to_json(command: str, outcomes: Iterable[Outcome], *, dry_run: bool = False) -> str:
    """Return the JSON document that a command prints about its requests with ``--json``, for a service of your own."""
    from conveyor.documents.codec import encode

    return json.dumps(requests_document(command, list(outcomes), dry_run=dry_run), indent=2, default=encode)


def log_error(outcome: Outcome, on_event: EventCallback) -> None:
    """Log the error of an outcome, if it has one."""
    if (error := outcome.error) is not None:
        details: dict[str, object] = {"code": error.code, "hint": error.hint, "metadata": outcome.metadata}
        if notes := getattr(error, "__notes__", None):
            details["traceback"] = "\n".join(notes)
        on_event("error", error.message, **details)


def resolve_request(
    source: Path | str | Metadata,
    capability: str | None,
    config: Config,
    registry: Registry | None = None,
    command: str = "",
) -> Request:
    """Return the request that a metadata file is about, for a command. Raises :class:`~conveyor.errors.ConveyorError`.

    Of many requests, ``registry`` is one that has been made for all.
    """
    metadata = source if isinstance(source, Metadata) else read_metadata(Path(source))
    settings = config.values
    chosen = choose(metadata, capability, registry or Registry(config), settings, command)
    places = locate(metadata, settings, chosen.qa_area)
    limits = Limits(settings.weblog_max_bytes, settings.weblog_max_members, settings.weblog_max_ratio)
    return Request(
        places,
        chosen,
        metadata.project_code,
        limits,
        _copying(settings),
        settings.wait,
        settings.strict,
        settings.qa_link_days * _DAY or None,
        settings.when_idle,
        settings.cache_lifetime,
    )


def has_no_capability(error: ConveyorError | None) -> bool:
    """Tell whether this is the error of a request that no capability claims."""
    return error is not None and error.code in ("capability-unknown", "workflow-missing")


def _copying(settings: Settings) -> CopyOptions:
    options = CopyOptions(
        buffer=settings.copy_buffer,
        rounds=settings.copy_rounds,
        read_back=settings.copy_read_back,
        max_rate=settings.copy_max_rate,
        checkpoint=settings.copy_checkpoint,
        project_ids=settings.project_ids,
    )
    return replace(options, workers=settings.copy_workers) if settings.copy_workers else options
