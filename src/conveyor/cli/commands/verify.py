"""``conveyor verify``."""

from __future__ import annotations

from typing import Any

import click

from conveyor.cli.options import capability_option, epilog, json_option, looking_options, requests_arguments
from conveyor.cli.run import metadata_files, print_outcomes, set_up, stop_on_signal


@click.command(
    "verify",
    short_help="Check delivered requests against what was copied.",
    epilog=epilog("conveyor verify spool/*/metadata.json", "conveyor verify --json metadata.json > verified.json"),
)
@requests_arguments
@click.option(
    "--require-digests", is_flag=True, help="fail (65) where nothing was copied, so that nothing can be compared"
)
@click.option("--record", is_flag=True, help="read clones too, and record their digests for later verifications")
@capability_option
@json_option
@looking_options
@click.pass_context
def command(
    ctx: click.Context, /, metadata: tuple[str, ...], require_digests: bool, record: bool, **options: Any
) -> None:
    """Read what requests have in the QA area, and compare it with what was copied there.

    Each path is named that was changed, touched, removed or added since: that is the analysts' work, and no error. What
    is corrupted is one (74): nobody wrote to it, and it is not what was written. Directories that were moved within one
    file system were not copied, so that nothing can be said of them: they are "not verified", which is an error (65) with
    --require-digests only. So are clones, which share their blocks with what they were cloned from and were not read,
    until --record reads them: later verifications compare them with what it found.
    """
    from conveyor.api.distinct import distinct, repeated
    from conveyor.api.operations import verify
    from conveyor.cli.text import verify_lines, verify_sum_line

    session = set_up(options)
    common = {"capability": options["capability"], "config": session.config, "on_progress": session.on_progress}
    common |= {"require_digests": require_digests, "record": record}
    files = distinct(metadata_files(metadata, session))
    with stop_on_signal() as stop:
        outcomes = (repeated(verify(path, **common, stop=stop), files) for path in files)
        code = print_outcomes("verify", outcomes, verify_lines, verify_sum_line, as_json=options["as_json"])
    ctx.exit(code)
