"""``conveyor doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from conveyor.cli import console
from conveyor.cli.looking import with_usual_layout
from conveyor.cli.options import FROM_FILE, any_requests, capability_option, epilog, json_option, settings_options
from conveyor.cli.run import metadata_files, set_up

_PLACES = ("config", "spool_root", "qa_root", "weblog_cache")
_REPEATED = (*_PLACES, "links", "capability")


@click.command(
    "doctor",
    short_help="Check the workspace and the requests; say what to run.",
    epilog=epilog(
        "conveyor doctor",
        "conveyor doctor --no-probe spool/tmpiox5trbp/metadata.json",
        "conveyor doctor -q      (from cron: says nothing if all is well)",
    ),
)
@any_requests
@click.option("--no-probe", is_flag=True, help="look only: try nothing in the areas, write nothing")
@capability_option
@json_option
@settings_options
@click.pass_context
def command(ctx: click.Context, /, metadata: tuple[str, ...], no_probe: bool, **options: Any) -> None:
    """Check this host, the workspace and each request, and say what each finding means and what to run.

    Without METADATA: every request in the spool root (CONVEYOR_SPOOL_ROOT, or, in the usual layout, that of the working
    directory) that a capability claims. How directories move,
    and whether claims exclude, is found by trying, in scratch folders (.conveyor-doctor.*) that are removed again. No
    request is changed.

    Ends with 0 if there are warnings but no errors, and with 69 if there are errors. With -q only warnings and
    errors are printed, and nothing if there are none: for cron. With -v each check is named before it is made.
    """
    from conveyor.cli.doctor_report import report_lines
    from conveyor.diagnostics import doctor
    from conveyor.documents.codec import printed
    from conveyor.documents.listing_documents import DoctorDocument

    repeated = _repeated(ctx, options)
    quiet, as_json, capability = bool(options["quiet"]), options.pop("as_json"), options.pop("capability")
    session = set_up(options)
    if not metadata and not ctx.meta.get(FROM_FILE):
        session = with_usual_layout(session)
    report = doctor(
        metadata_files(metadata, session) if metadata or ctx.meta.get(FROM_FILE) else [],
        capability=capability,
        config=session.config,
        probe=not no_probe,
        options=repeated,
        on_event=session.on_event,
    )
    error = report.error
    code = error.exit_code if error else 0
    if as_json:
        console.print_json(printed(DoctorDocument, "doctor", code, error, findings=report.findings))
    elif lines := report_lines(report, problems_only=quiet):
        console.echo(console.joined(lines))
    ctx.exit(code)


def _repeated(ctx: click.Context, options: dict[str, Any]) -> list[str]:
    """The options that the commands in the findings need too, so that they mean the same places."""
    given = {**(ctx.find_root().obj or {}), **{name: options[name] for name in _REPEATED if options[name]}}
    words: list[str] = []
    for name in _REPEATED:
        if value := given.get(name):
            words += [f"--{name.replace('_', '-')}", str(Path(value).absolute()) if name in _PLACES else value]
    return words
