"""The options that commands share, and what they make of them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conveyor.cli import paths

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from click.shell_completion import CompletionItem

    from conveyor.engine.copy_progress import ProgressCallback
    from conveyor.engine.outcome import EventCallback
    from conveyor.settings.sources import Config

    Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class Session:
    """What a command starts from."""

    config: Config
    on_event: EventCallback
    on_progress: ProgressCallback
    log_has_errors: bool
    verbosity: int


_SETTINGS = (
    *("spool_root", "qa_root", "weblog_cache", "links", "log_format", "log_file", "jobs", "engine", "copy_max_rate"),
)


def _stack(*decorators: Decorator) -> Decorator:
    def apply(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


json_option = click.option("--json", "as_json", is_flag=True, help="print one JSON document on stdout")

settings_options = _stack(
    click.option("--config", metavar="FILE", type=paths.FILE, help="the TOML file with the settings"),
    click.option(
        "--spool-root", metavar="DIR", type=paths.FOLDER, help="the spool area; requests outside it are refused"
    ),
    click.option("--qa-root", metavar="DIR", type=paths.FOLDER, help="the folder that holds qa2 and image-qa"),
    click.option("--weblog-cache", metavar="DIR", type=paths.FOLDER, help="the folder that weblogs are cached in"),
    click.option(
        "--links",
        type=click.Choice(["auto", "relative", "absolute"]),
        help="the text of the links that are left",
    ),
    click.option("--log-format", type=click.Choice(["auto", "console", "json"]), help="how log lines look"),
    click.option("--log-file", metavar="FILE", type=paths.FILE, help="add log lines to this file, not to stderr"),
    click.option("-v", "--verbose", count=True, help="log each step; twice: before it is taken too"),
    click.option("-q", "--quiet", count=True, help="log less: errors only"),
)


def _complete_capability(
    ctx: click.Context,
    param: click.Parameter,
    incomplete: str,
) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from conveyor.api.listings import capabilities
    from conveyor.settings.sources import load_config

    names = [entry.name for entry in capabilities(load_config())]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


capability_option = click.option(
    "-c",
    "--capability",
    metavar="NAME",
    shell_complete=_complete_capability,
    help="the capability (default: the one that claims the metadata's workflow)",
)

_dry_run = click.option(
    "-n",
    "--dry-run",
    is_flag=True,
    help="print the plan, change nothing; the exit status is a real run's",
)

engine_option = click.option(
    "--engine", type=click.Choice(["local", "htcondor"]), help="where to convey: on this host, or as jobs of a pool"
)

conveyance_options = _stack(
    click.argument("metadata", nargs=-1, required=True, type=paths.ANY),
    capability_option,
    _dry_run,
    click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="how many requests to convey at a time"),
    click.option(
        "--max-rate",
        "copy_max_rate",
        metavar="SIZE",
        help="the most bytes a second that a copy to another file system writes, such as 200M",
    ),
    engine_option,
    json_option,
    settings_options,
)

post_script_options = _stack(
    click.argument("metadata", type=paths.ANY),
    capability_option,
    _dry_run,
    json_option,
    settings_options,
)


def set_up(options: dict[str, Any]) -> Session:
    """Take the shared options out of a command's, and load the settings; what is left is the command's own."""
    from conveyor.cli.logs import is_for_people, observing
    from conveyor.cli.progress import watching
    from conveyor.settings.sources import load_config

    context = click.get_current_context().find_root()
    file = options.pop("config", None) or (context.obj or {}).get("config")
    verbosity = options.pop("verbose", 0) - options.pop("quiet", 0)
    flags = {name: options.pop(name, None) for name in _SETTINGS}
    for name in (
        "spool_root",
        "qa_root",
        "weblog_cache",
    ):  # relative to where the user is, not to where we are read
        if flags[name]:
            path = Path(flags[name])
            flags[name] = path if path.is_absolute() else path.resolve()
    config = load_config(flags, Path(file) if file else None)
    settings = config.values
    # Lines of JSON on stderr are for a program: a sentence among them would break it.
    log_has_errors = settings.log_file is None and not is_for_people(settings.log_format, sys.stderr)
    keep = click.get_current_context().with_resource
    on_event = keep(observing(verbosity, settings.log_format, settings.log_file))
    log_is_here = settings.log_file is None
    on_progress = keep(watching(on_event, verbosity, settings.progress_seconds, log_is_here=log_is_here))
    return Session(config, on_event, on_progress, log_has_errors, verbosity)
