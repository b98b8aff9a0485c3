"""The options and the help text that commands share.

Paths are not checked with ``access``, as Click's ``readable`` does: it cannot tell a file system's error (74) from a missing
permission (77), and Click would call each of them a mistake on the command line, after which no retry helps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from conveyor.errors import tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from click.shell_completion import CompletionItem

    from conveyor.errors import ConveyorError

    Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]


class NamedPath(click.Path):
    """A path that is not empty, as an unset variable of the shell makes it: Python takes that for the working directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse an empty text; the rest is Click's."""
        if value == "":
            self.fail("the name is empty: if it comes from a variable of the shell, that is not set", param, ctx)
        return super().convert(value, param, ctx)


ANY_PATH = NamedPath(readable=False)
FILE_PATH = NamedPath(dir_okay=False, readable=False)
DIR_PATH = click.Path(file_okay=False, readable=False)


def _epilog() -> str:
    """Return the exit statuses, each with the codes of its errors; an error below one of the same status is left out."""
    kinds: dict[int, list[type[ConveyorError]]] = {}
    for kind in tree():
        alike = kinds.setdefault(kind.exit_code, [])
        if not issubclass(kind, tuple(alike)):
            alike.append(kind)
    errors = "; ".join(f"{status} {', '.join(kind.code for kind in kinds[status])}" for status in sorted(kinds))
    return f"Exit status: 0 done or already done; 1 several requests failed with different codes; {errors}."


EPILOG = _epilog()


def epilog(*examples: str) -> str:
    """Return the last lines of a command's help: command lines, and the exit statuses."""
    lines = "\n".join(f"  {example}" for example in examples)
    return f"\b\nExamples:\n{lines}\n\n{EPILOG}"


def _stack(*decorators: Decorator) -> Decorator:
    def apply(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


json_option = click.option("--json", "as_json", is_flag=True, help="print one JSON document on stdout")


def _settings(hidden: frozenset[str] = frozenset()) -> Decorator:
    """Return the options that are settings; the ``hidden`` ones are taken, but the command does nothing with them."""

    def option(*names: str, **attributes: Any) -> Decorator:
        return click.option(*names, hidden=names[-1].removeprefix("--") in hidden, **attributes)

    return _stack(
        option("--config", metavar="FILE", type=FILE_PATH, help="the TOML file with the settings"),
        option("--spool-root", metavar="DIR", type=DIR_PATH, help="the spool area; requests outside it are refused"),
        option("--qa-root", metavar="DIR", type=DIR_PATH, help="the directory that holds qa2 and image-qa"),
        option("--weblog-cache", metavar="DIR", type=DIR_PATH, help="the directory that weblogs are cached in"),
        option(
            "--links",
            type=click.Choice(["auto", "relative", "absolute"]),
            help="the text of the links that are left",
        ),
        option("--log-format", type=click.Choice(["auto", "console", "json"]), help="how log lines look"),
        option("--log-file", metavar="FILE", type=FILE_PATH, help="add log lines to this file, not to stderr"),
        option("-v", "--verbose", count=True, help="log each step; -vv also announces each step"),
        option("-q", "--quiet", count=True, help="log less: errors only"),
    )


settings_options = _settings()
#: For commands that make no links.
looking_options = _settings(frozenset({"links"}))
#: For commands that look at no area.
listing_options = _settings(frozenset({"links", "spool-root", "qa-root", "weblog-cache"}))


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

reason_option = click.option("-m", "--reason", metavar="TEXT", help="why, in a sentence: kept with the verdict")

_dry_run = click.option(
    "-n",
    "--dry-run",
    is_flag=True,
    help="print the plan, change nothing; exit status as in a real run",
)

_RUNNERS = click.Choice(["local", "htcondor"])


def _runner(text: str) -> Decorator:
    return _stack(
        click.option("--runner", type=_RUNNERS, help=text),
        click.option("--engine", type=_RUNNERS, hidden=True, help="the name of --runner in earlier releases"),
    )


runner_option = _runner("where to convey: on this host, or as jobs of a pool")
asked_runner_option = _runner("htcondor: ask the pool too which requests its jobs are to convey")

#: The place in Click's context of the files that ``--from-file`` names.
FROM_FILE = "conveyor.from_file"


def _keep_lists(ctx: click.Context, _: click.Parameter, value: tuple[str, ...]) -> None:
    ctx.meta[FROM_FILE] = value


def _some(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a command line that names no request, and no list of them."""
    if not value and not ctx.meta.get(FROM_FILE) and not ctx.resilient_parsing:
        raise click.MissingParameter(ctx=ctx, param=param)
    return value


_from_file = click.option(
    "--from-file",
    metavar="FILE",
    multiple=True,
    type=FILE_PATH,
    is_eager=True,
    expose_value=False,
    callback=_keep_lists,
    help="also the requests that this file names, one a line",
)
#: Requests, of which there may be none.
any_requests = _stack(click.argument("metadata", metavar="[METADATA]...", nargs=-1, type=ANY_PATH), _from_file)
#: Requests, of which there has to be one.
requests_arguments = _stack(
    click.argument("metadata", metavar="METADATA...", nargs=-1, type=ANY_PATH, callback=_some),
    _from_file,
)

conveyance_options = _stack(
    requests_arguments,
    capability_option,
    _dry_run,
    click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="how many requests to convey at a time"),
    click.option("--strict", is_flag=True, default=None, help="refuse what would only be warned of"),
    click.option(
        "--wait",
        type=click.IntRange(min=0),
        metavar="SECONDS",
        help="how long to wait while the request is held, in use, or being written",
    ),
    click.option(
        "--when-idle",
        is_flag=True,
        default=None,
        help="wait until nobody on this host has anything open in what moves",
    ),
    click.option(
        "--max-rate",
        "copy_max_rate",
        metavar="SIZE",
        help="the most bytes a second that a copy to another file system writes, such as 200M",
    ),
    runner_option,
    json_option,
    settings_options,
)

post_script_options = _stack(
    click.argument("metadata", type=ANY_PATH),
    capability_option,
    _dry_run,
    json_option,
    settings_options,
)
