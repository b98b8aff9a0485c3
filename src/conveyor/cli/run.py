"""The beginning and the end of a command: settings, logging and signals; outcomes printed, and their exit status."""

from __future__ import annotations

import mmap
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conveyor.cli import console
from conveyor.cli.options import FROM_FILE
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import FrameType
    from typing import TypeAlias

    from conveyor.engine.copy_progress import ProgressCallback
    from conveyor.engine.outcome import EventCallback, Outcome
    from conveyor.errors import ConveyorError
    from conveyor.settings.sources import Config

    #: The lines of an outcome for stdout, and those for stderr.
    OutcomeLines: TypeAlias = Callable[[Outcome], tuple[list[str], list[str]]]

_ROOTS = ("spool_root", "qa_root", "weblog_cache")
# The settings that have an option; ``engine`` is the runner's name of earlier releases.
_SETTINGS = (
    *_ROOTS,
    "links",
    "log_format",
    "log_file",
    "jobs",
    "runner",
    "engine",
    "copy_max_rate",
    "wait",
    "strict",
    "when_idle",
)


@frozen
class Ended:
    """The end of a command: the exit ``status``, and the ``error`` that it came of, which is printed already."""

    status: int
    error: ConveyorError | None = None


@frozen
class Session:
    """The settings and the callbacks of one run of a command."""

    config: Config
    on_event: EventCallback
    on_progress: ProgressCallback
    log_has_errors: bool
    verbosity: int


def set_up(options: dict[str, Any]) -> Session:
    """Take the shared options out of a command's, and load the settings; the command's own options are left."""
    from conveyor.cli.logs import is_for_people, log_events
    from conveyor.cli.progress import show_progress
    from conveyor.settings.sources import load_config

    context = click.get_current_context()
    file = options.pop("config", None) or (context.find_root().obj or {}).get("config")
    verbosity = options.pop("verbose", 0) - options.pop("quiet", 0)
    flags = {name: options.pop(name, None) for name in _SETTINGS}
    for name in _ROOTS:
        if flags[name]:  # settings are absolute, options are relative to the working directory
            flags[name] = _absolute(Path(flags[name]), name)
    config = load_config(flags, Path(file) if file else None)
    settings = config.values
    log_is_here = settings.log_file is None
    # Lines of JSON on stderr are for a program: a sentence among them would break it.
    log_has_errors = log_is_here and not is_for_people(settings.log_format, sys.stderr)
    on_event = context.with_resource(log_events(verbosity, settings.log_format, settings.log_file))
    on_progress = context.with_resource(
        show_progress(on_event, verbosity, settings.progress_seconds, log_is_here=log_is_here)
    )
    for notice in config.notices:
        if log_has_errors:
            on_event("warning", notice)
        else:
            console.echo_error(f"conveyor: {notice}")
    return Session(config, on_event, on_progress, log_has_errors, verbosity)


def metadata_files(named: Sequence[str], session: Session) -> list[Path]:
    """Return the metadata files that a command line names: by a request's name, a folder of it, its READY, or a path.

    ``-`` stands for those that stdin names, one a line, and ``--from-file`` adds those of a file. Names that end with a
    null byte, as ``find -print0`` writes them, may have line breaks in them.
    """
    from conveyor.cli.looking import with_usual_layout
    from conveyor.request.naming import metadata_file

    names: list[str] = []
    for name in named:
        names += _listed(sys.stdin.buffer.read() if sys.stdin is not None else b"") if name == "-" else [name]
    for list_of_names in click.get_current_context().meta.get(FROM_FILE, ()):
        with click.open_file(list_of_names, "rb") as file:
            names += _listed(file.read())
    if not names:
        raise click.UsageError("stdin names no metadata files" if "-" in named else "the list names no metadata files")
    needs_spool = any("/" not in name for name in names)
    spool = with_usual_layout(session).config.values.spool_root if needs_spool else None
    return [metadata_file(name, spool) for name in names]


def _listed(content: bytes) -> list[str]:
    """Return the names that a list has, one a line."""
    lines = content.split(b"\0" if b"\0" in content else b"\n")
    return [os.fsdecode(line) for line in lines if line.strip()]


def _absolute(path: Path, name: str) -> Path:
    from conveyor.errors import ConfigurationError

    try:
        return path if path.is_absolute() else path.resolve()
    except FileNotFoundError:
        option = f"--{name.replace('_', '-')}"
        raise ConfigurationError(
            f"{option} {path} is relative to the working directory, which is gone", hint="give an absolute path"
        ) from None


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Turn SIGINT, SIGTERM and SIGHUP into a question: has one come, so that the run is to end at the next safe point?

    A second one ends the run at once; but not SIGHUP, which comes from the kernel and from the shell when a terminal is
    gone, and of which nohup(1) wants nothing to be heard. Forked workers share the answer with their parent.
    """
    shared = mmap.mmap(-1, 1)
    owner = os.getpid()

    def handle(number: int, _: FrameType | None) -> None:
        if shared[0] and number == signal.SIGHUP:
            return
        if shared[0]:
            _kill_workers()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        shared[0] = 1
        if os.getpid() == owner:
            console.echo_error("conveyor: ending at the next safe point; once more ends at once")

    heard = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heard.append(signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in heard}
    try:
        yield lambda: bool(shared[0])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kill_workers() -> None:
    """Kill the processes that convey requests for this one; a worker itself has none."""
    from multiprocessing import active_children

    for child in active_children():
        child.kill()


def print_outcomes(
    command: str,
    outcomes: Iterable[Outcome],
    lines: OutcomeLines,
    sum_line: Callable[[Sequence[Outcome]], str] | None = None,
    *,
    as_json: bool = False,
    dry_run: bool = False,
    log_has_errors: bool = False,
    not_shown: Mapping[str, int] | None = None,
) -> int:
    """Print each outcome as it comes, and a line about all if there are several; or the document of all.

    ``not_shown`` counts, for the document, the requests that were left out. Returns the exit status.
    """
    from conveyor.engine.outcome import exit_code

    shown = []
    for outcome in outcomes:
        shown.append(outcome)
        print_outcome(outcome, lines, as_json=as_json, log_has_errors=log_has_errors)
    if as_json:
        print_document(command, shown, dry_run=dry_run, not_shown=not_shown)
    elif sum_line is not None and len(shown) > 1:
        console.echo(sum_line(shown))
    return exit_code(shown)


def print_outcome(outcome: Outcome, lines: OutcomeLines, *, as_json: bool, log_has_errors: bool) -> None:
    """Print the ``lines`` of an outcome for stdout, unless a document follows, and for stderr, unless the log has them."""
    result, errors = lines(outcome)
    if not as_json:
        console.echo(console.joined(result))
    if errors and not log_has_errors:
        console.echo_error(console.joined(errors))


def print_document(
    command: str, outcomes: Sequence[Outcome], *, dry_run: bool = False, not_shown: Mapping[str, int] | None = None
) -> None:
    """Print the one document about all outcomes."""
    from conveyor.api.operations import requests_document

    console.print_json(requests_document(command, outcomes, dry_run=dry_run, not_shown=not_shown))
