"""``conveyor board``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from conveyor.cli import console
from conveyor.cli.looking import with_usual_layout
from conveyor.cli.options import FILE_PATH, NamedPath, epilog, looking_options
from conveyor.cli.run import set_up, stop_on_signal

_PORT = click.IntRange(0, 65_535)
_STEP = 0.2  # seconds between two looks at whether a signal has come


@click.command(
    "board",
    short_help="Show the QA board in a browser, or write it as files.",
    epilog=epilog(
        "conveyor board",
        "conveyor board --address 0.0.0.0 --token-file ~/.board-token",
        "conveyor board --output /var/www/board --every 60 --weblog-url /weblogs/",
    ),
)
@click.option("--address", default="127.0.0.1", metavar="ADDRESS", help="where to listen (127.0.0.1: this host alone)")
@click.option("--port", type=_PORT, default=8086, help="the board's port (8086)")
@click.option(
    "--weblog-port", type=_PORT, default=8087, help="the weblogs' port (8087); 0: below the board, without one"
)
@click.option("--url", metavar="URL", help="the address of the board that a proxy in front of it has")
@click.option("--weblog-url", metavar="URL", help="the address of the weblogs that a proxy or a web server has")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="a host name that browsers may use; several times")
@click.option("--token-file", metavar="FILE", type=FILE_PATH, help="a file with the token that lets readers in")
@click.option("--user-header", metavar="NAME", help="the header in which a proxy names the reader")
@click.option(
    "--proxy", "proxies", multiple=True, metavar="ADDRESS", help="a proxy whose header counts, or a network of them"
)
@click.option(
    "--output",
    metavar="DIR",
    type=NamedPath(file_okay=False, readable=False),
    help="write static files into this folder instead",
)
@click.option("--every", type=click.IntRange(min=1), metavar="SECONDS", help="write them again and again")
@looking_options
def command(output: str | None, every: int | None, **options: Any) -> None:
    """Show what waits for QA, what is on the way and what was judged, with a page and the weblog of each request.

    Nothing can be changed there. The board is served on this host alone unless an address is given, and then a token or
    a proxy has to say who may read. Weblogs have a port of their own, since they are other people's pages. With --output
    the same pages are files, for a web server that is there already. Needs the extra 'board'.
    """
    from conveyor.errors import ConfigurationError, UsageError

    names = ("address", "port", "weblog_port", "url", "weblog_url", "hosts", "token_file", "user_header", "proxies")
    own = {name: options.pop(name) for name in names}
    session = with_usual_layout(set_up(options))
    if every is not None and output is None:
        raise UsageError("--every goes with --output")
    try:
        import conveyor.board.serve_board
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the board needs {error.name}, which is not installed", hint="pip install 'conveyor[board]'"
        ) from error
    if output is not None:
        _write(session.config, Path(output).absolute(), own["weblog_url"] or "weblogs/", every)
        return
    own["weblog_port"] = own["weblog_port"] or None
    own["token_file"] = own["token_file"] and Path(own["token_file"])
    served = conveyor.board.serve_board.ServerOptions(**own)
    conveyor.board.serve_board.serve(
        session.config, served, lambda url: console.echo_error(f"conveyor: the board is at {url} (Ctrl-C ends it)")
    )


def _write(config: Any, folder: Path, weblog_url: str, every: int | None) -> None:
    """Write the board once, or until a signal comes. A failure of one of many rounds is told, and ends nothing."""
    from time import monotonic, sleep

    from conveyor.board.delivery_watch import DeliveryWatch
    from conveyor.board.shared_overview import look
    from conveyor.board.static_pages import write_board
    from conveyor.errors import ConveyorError

    watch = DeliveryWatch()
    with stop_on_signal() as is_stopped:
        while True:
            begun = monotonic()
            try:
                done = write_board(look(config, watch), folder, weblog_url)
                console.echo(f"{folder}: {done.written} written, {done.same} the same, {done.removed} removed")
            except (ConveyorError, OSError) as failure:
                if every is None:
                    raise
                console.echo_error(f"conveyor: {ConveyorError.from_exception(failure).message}")
            while every is not None and monotonic() < begun + every and not is_stopped():
                sleep(_STEP)
            if every is None or is_stopped():
                return
