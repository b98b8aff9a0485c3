"""The program: its options, its commands by name, and the one place where an error becomes an exit code."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from conveyor._version import __version__
from conveyor.cli import console
from conveyor.cli.options import FILE_PATH, epilog
from conveyor.cli.run import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conveyor.errors import ConveyorError

# pydantic scans all installed packages for plugins at each start, which takes longer than a conveyance. We use none.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# New objects between two collections. Python's 700 means dozens while importing, which makes many objects and no garbage.
_GC_THRESHOLD = 100_000

# Each command's module in conveyor.cli.commands, and its name there.
_COMMANDS = {
    "deliver": ("conveyances", "deliver"),
    "retrieve": ("conveyances", "retrieve"),
    "qa-fail": ("conveyances", "qa_fail"),
    "pass": ("people", "passed"),
    "fail": ("conveyances", "fail"),
    "assign": ("people", "assigned"),
    "note": ("people", "noted"),
    "status": ("status", "command"),
    "history": ("history", "command"),
    "report": ("report", "command"),
    "resume": ("resume", "command"),
    "board": ("board", "command"),
    "open": ("open", "command"),
    "verify": ("verify", "command"),
    "users": ("users", "command"),
    "unlock": ("unlock", "command"),
    "tidy": ("tidy", "command"),
    "post-script": ("post_script", "command"),
    "dag": ("dag", "command"),
    "doctor": ("doctor", "command"),
    "init-area": ("init_area", "command"),
    "capabilities": ("capabilities", "command"),
    "config": ("config", "command"),
    "notify": ("notify", "command"),
    "metrics": ("metrics", "command"),
    "demo": ("demo", "command"),
}

# What people type who know other programs.
_MEANT = {
    "help": "--help",
    "version": "--version",
    "list": "status",
    "ls": "status",
    "check": "doctor",
    "settings": "config",
    "who": "users",
    "lsof": "users",
    "fuser": "users",
    "return": "retrieve",
}

# Upstream's flags: the command and the capability that each stands for.
_FLAGS: dict[str, tuple[str, str | None, str]] = {
    "deliver": (
        "deliver",
        "calibration",
        "deliver standard calibration directories to the analysts' QA area",
    ),
    "retrieve": (
        "retrieve",
        "calibration",
        "return standard calibration directories to their parent directory",
    ),
    "deliver-img": ("deliver", "imaging", "deliver standard image results to the analysts' image QA area"),
    "retrieve-img": ("retrieve", "imaging", "return standard image results to their parent directory"),
    "qa-fail": ("qa-fail", None, "carry a request home after a QA fail, and clean up"),
}


class Program(click.Group):
    """A group that imports a command on demand, so that each start costs only what its command needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command = getattr(import_module(f"conveyor.cli.commands.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and name not in _COMMANDS:
            if os.path.exists(name):
                ctx.fail(f"{name!r} is a file, not a command: did you mean 'conveyor deliver {name}'?")
            if not name.startswith("-"):
                from conveyor.settings.wording import nearest

                meant = _MEANT.get(name) or nearest(name, _COMMANDS)
                ctx.fail(f"No such command {name!r}" + (f": did you mean 'conveyor {meant}'?" if meant else "."))
        return super().resolve_command(ctx, args)


def _upstream_flags(function: Callable[..., Any]) -> Callable[..., Any]:
    for flag, (_, _, text) in reversed(_FLAGS.items()):
        function = click.option(f"--{flag}", metavar="METADATA", type=FILE_PATH, help=text)(function)
    return function


@click.group(
    cls=Program,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=epilog("conveyor demo", "conveyor deliver spool/tmpiox5trbp/metadata.json", "conveyor status"),
)
@_upstream_flags
@click.option("--config", metavar="FILE", type=FILE_PATH, help="the TOML file with the settings")
@click.version_option(__version__, "--version", prog_name="conveyor", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context, /, config: str | None, **flags: str | None) -> None:
    """Carry finished requests from the Workspaces spool area to the QA area, and home again.

    METADATA is the workflow's metadata.json, the only input. Start with 'conveyor demo', which shows a delivery and
    its way back in a scratch workspace. The flags are upstream's; the commands do the same and more.
    """
    ctx.obj = {"config": config}
    given = {name.replace("_", "-"): path for name, path in flags.items() if path is not None}
    if not given:
        if ctx.invoked_subcommand is None:
            click.echo(ctx.get_help())
            ctx.exit(0 if len(sys.argv) <= 1 else 2)
        return
    if len(given) > 1 or ctx.invoked_subcommand:
        named = " and ".join([*(f"--{flag}" for flag in given), *filter(None, [ctx.invoked_subcommand])])
        raise click.UsageError(f"one conveyance at a time: {named} do not go together")
    flag, path = next(iter(given.items()))
    command, capability, _ = _FLAGS[flag]
    arguments = [path, *(["--capability", capability] if capability else [])]
    target = main.get_command(ctx, command)
    assert target is not None
    with target.make_context(command, arguments, parent=ctx) as inner:
        target.invoke(inner)


@contextlib.contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """Have garbage collected, but too rarely to cost a short run anything (``benchmarks/startup.py``)."""
    before = gc.get_threshold()
    gc.set_threshold(_GC_THRESHOLD, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.freeze()  # or the interpreter looks at every object once more as it ends


def _use_utf8() -> None:
    """Start again in Python's UTF-8 mode if the locale has another encoding.

    Paths in ``metadata.json`` are UTF-8, as nearly all names on disk are, and another locale makes other bytes of them.
    """
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode and sys.executable:
        with contextlib.suppress(OSError):
            os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def run() -> NoReturn:
    """Run the program and exit with its documented status. Nothing but a bug of ours prints a traceback."""
    _use_utf8()
    # Whoever started this may ignore it; then no child tells how it ended.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    arguments = sys.argv[1:]
    end = _end(arguments)
    status = end.status
    if _command(arguments) == "post-script":
        from conveyor.htcondor.post_script import node_status

        status = node_status(arguments, end.status, end.error)
    with contextlib.suppress(OSError, ValueError):
        console.flush()
    sys.exit(status)


def _end(arguments: list[str]) -> Ended:
    """Run a command, and return how it ended; what went wrong is printed."""
    try:
        with _rare_garbage_collection():
            result = main.main(args=arguments, prog_name="conveyor", standalone_mode=False)
        return result if isinstance(result, Ended) else Ended(result if isinstance(result, int) else 0)
    except click.ClickException as error:
        return _failed(_usage(error), arguments)
    except (click.Abort, KeyboardInterrupt):
        console.echo_error("conveyor: interrupted; nothing is lost: run the same command again to finish")
        return Ended(130)
    except BrokenPipeError:
        return Ended(0)
    except Exception as error:  # noqa: BLE001 - the one place where an error becomes output
        from conveyor.errors import ConveyorError

        return _failed(ConveyorError.from_exception(error), arguments)


def _usage(error: click.ClickException) -> ConveyorError:
    """Return the error for what Click says of the command line, whose usage is printed."""
    from conveyor.errors import UsageError

    if context := getattr(error, "ctx", None):
        console.echo_error(f"{context.get_usage()}\nTry '{context.command_path} --help'.\n")
    return UsageError(error.format_message())


def _failed(error: ConveyorError, arguments: list[str]) -> Ended:
    """Print an error that ended a command before any request was looked at; with ``--json`` as a document too."""
    if _command(arguments) == "post-script":
        from conveyor.htcondor.post_script import node_error

        error = node_error(arguments, error)
    hint = [] if error.code == "usage" else [f"  hint: {error.hint}"]
    console.echo_error("\n".join([*getattr(error, "__notes__", ()), f"conveyor: {error.message}", *hint]))
    if "--json" in arguments:
        from conveyor.documents.codec import printed
        from conveyor.documents.request_documents import FailureDocument

        dry_run = not {"-n", "--dry-run"}.isdisjoint(arguments)
        document = printed(FailureDocument, _command(arguments), error.exit_code, error, dry_run=dry_run, requests=[])
        console.print_json(document)
    return Ended(error.exit_code, error)


def _command(arguments: list[str]) -> str | None:
    """Return the command that a command line names, whatever else is wrong with it."""
    return next((argument for argument in arguments if argument in _COMMANDS), None)
