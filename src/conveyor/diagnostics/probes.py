"""What only trying tells, each tried in a scratch folder in the area itself."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from conveyor.diagnostics.findings import error, info, ok, warning
from conveyor.diagnostics.move_probes import directories_cross, files_cross
from conveyor.diagnostics.scratch import Bench, bench_in
from conveyor.diagnostics.workspace import CACHE, QA, SPOOL
from conveyor.errors import foreseen
from conveyor.filesystem.error_context import ExchangeRefusedError
from conveyor.filesystem.mounts import mount_of
from conveyor.filesystem.posix import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conveyor.diagnostics.findings import Finding
    from conveyor.diagnostics.workspace import Area, Workspace

#: Beyond this, in nanoseconds, who compares the times of files on two hosts is misled.
_SKEW = 5 * 10**9
#: The steps in which file systems keep times, in nanoseconds, and a moment that tells them apart.
_STEPS = {1: "1 ns", 100: "100 ns", 1000: "1 µs", 10**6: "1 ms", 10**9: "1 s", 2 * 10**9: "2 s"}
_MOMENT = 1_400_000_001_123_456_789


def tried(scene: Workspace) -> Iterator[Finding]:
    """Try everything in each area that this account may write in, then between the spool area and each QA area."""
    if not scene.visit.may_try:
        yield info("tried", "trials", "left out, as was asked; so it is not known how directories will move")
        return
    with ExitStack() as opened:
        benches: dict[Path, Bench] = {}
        for area in scene.areas:
            yield from _set_up(scene, area, opened, benches)
        for bench in benches.values():
            for trial in IN_AN_AREA:
                yield from _performed(trial, bench.area.label, bench)
        for spool, qa in _pairs(scene, benches):
            for crossing in BETWEEN_AREAS:
                yield from _performed(crossing, f"{spool.area.label} and {qa.area.label}", spool, qa)


def _set_up(scene: Workspace, area: Area, opened: ExitStack, benches: dict[Path, Bench]) -> Iterator[Finding]:
    if area.folder is None:
        return
    if not scene.visit.environment.fs.can_write(area.folder):
        yield info("tried", area.label, "nothing was tried there, since this account may not write in it")
        return
    try:
        bench = benches[area.path] = opened.enter_context(bench_in(scene, area, area.folder))
    except OSError as failure:
        yield _unexpected("tried", area.label, failure)
        return
    if bench.removed:
        yield info("tried", area.label, f"removed what a visit that died had left: {', '.join(bench.removed)}")


def _performed(trial: Callable[..., Iterator[Finding]], subject: str, *benches: Bench) -> Iterator[Finding]:
    try:
        yield from trial(*benches)
    except OSError as failure:
        yield _unexpected(trial.__name__.replace("_", "-"), subject, failure)


def _unexpected(check: str, subject: str, failure: OSError) -> Finding:
    """What a trial met that it did not try for: a full disk, a quota, a server that is down."""
    told = foreseen(failure)
    return error(check, subject, f"a trial failed: {told.message}", told.hint)


def _pairs(scene: Workspace, benches: dict[Path, Bench]) -> Iterator[tuple[Bench, Bench]]:
    """Each workspace's spool area with each of its QA areas; the areas are in that order."""
    spool = None
    for area in scene.areas:
        if area.kind == SPOOL:
            spool = benches.get(area.path)
        elif area.kind == QA and spool and area.path in benches:
            yield spool, benches[area.path]


def claims_exclude(bench: Bench) -> Iterator[Finding]:
    """What keeps two conveyances apart: a link can be made once only, and moves into another's place in one step."""
    fs, folder = bench.fs, bench.folder
    for name in ("claim.1", "claim.2"):
        fs.symlink(folder, name, name)
    try:
        fs.symlink(folder, "claim.1", "another")
    except FileExistsError:
        fs.rename(folder, "claim.2", folder, "claim.1")
        if fs.lstat(folder, "claim.2") is None and fs.readlink(folder, "claim.1") == "claim.2":
            yield ok(
                "claims-exclude", bench.area.label, "claims exclude: a link is made once only, and replaced in one step"
            )
            return
    advice = "two conveyances of one request could run at once here: convey nothing, and ask who runs the file system"
    yield error(
        "claims-exclude", bench.area.label, "links do not exclude each other: a taken name was given out again", advice
    )


def clock(bench: Bench) -> Iterator[Finding]:
    """The file server's clock beside this host's, and the steps in which times are kept."""
    fs, folder, now = bench.fs, bench.folder, bench.scene.visit.clock
    before = now()
    fs.create_file(folder, "clock").close()
    after = now()
    made = fs.lstat(folder, "clock")
    fs.utime(folder, "clock", _MOMENT)
    kept = fs.lstat(folder, "clock")
    if made is None or kept is None:
        raise FileNotFoundError(2, "a file just made is not there", str(folder.path / "clock"))
    step = next((step for step in _STEPS if _MOMENT // step * step == kept.modified), None)
    steps = f"times are kept to {_STEPS[step]}" if step else "times are not kept as they are set"
    skew = max(before - made.modified, 0) - max(made.modified - after, 0)  # positive: the server's is behind
    if abs(skew) > _SKEW:
        which = "behind" if skew > 0 else "ahead of"
        what = f"the file server's clock is {abs(skew) / 10**9:.1f} s {which} this host's; {steps}"
        yield warning("clock", bench.area.label, what, "set both by NTP; this shows this host's side:", "timedatectl")
    else:
        mount = mount_of(bench.area.path, bench.scene.mounted)
        if mount and mount.type == "lustre":
            told = "Lustre takes times from its clients, so its servers' clocks do not show"
        else:
            told = "the file server's clock and this host's agree"
        say = ok if step == 1 else info
        yield say("clock", bench.area.label, f"{told}; {steps}")


def ownership(bench: Bench) -> Iterator[Finding]:
    """Whether what this account makes is its own: a server may give it to another one."""
    bench.fs.create_file(bench.folder, "owner").close()
    entry, account = bench.fs.lstat(bench.folder, "owner"), bench.scene.visit.environment.host.account()
    if entry is None or entry.owner == account:
        yield ok("ownership", bench.area.label, "what this account makes is its own")
        return
    what = f"what this account (uid {account}) makes belongs to uid {entry.owner}: the server squashes it"
    yield warning("ownership", bench.area.label, what, "convey with an account that the server does not map to another")


def flock(bench: Bench) -> Iterator[Finding]:
    """What flock does, for those who use it: Conveyor does not."""
    bench.fs.create_file(bench.folder, "lock").close()
    try:
        excludes = bench.fs.flock_excludes(bench.folder, "lock")
    except OSError as failure:
        yield info("flock", bench.area.label, f"flock does not work ({failure.strerror}); Conveyor does not use it")
        return
    what = "flock excludes on this host (on others: cannot be told from here)" if excludes else "flock excludes nobody"
    yield info("flock", bench.area.label, f"{what}; Conveyor does not use it")


def exchange(bench: Bench) -> Iterator[Finding]:
    """Whether a directory and a link in one area can trade places: what is replaced is then never missing."""
    fs, folder = bench.fs, bench.folder
    fs.mkdir(folder, "directory")
    fs.symlink(folder, "link", "directory")
    try:
        fs.exchange(folder, "directory", folder, "link")
    except ExchangeRefusedError as failure:
        what = f"two names cannot trade places ({failure.strerror}): what is replaced is missing for a moment"
        yield info("exchange", bench.area.label, what)
        return
    entry = fs.lstat(folder, "link")
    if entry is None or entry.kind is not Kind.DIRECTORY:
        advice = "convey nothing here, and ask who runs the file system"
        yield error("exchange", bench.area.label, "an exchange was reported as done, and was not", advice)
    else:
        yield ok("exchange", bench.area.label, "two names can trade places in one step")


def hard_links(bench: Bench) -> Iterator[Finding]:
    """Whether weblogs can be unpacked: CASA's have a hard link in them."""
    if bench.area.kind != CACHE:
        return
    bench.fs.create_file(bench.folder, "file").close()
    try:
        bench.fs.link(bench.folder, "file", bench.folder, "second name")
    except OSError as failure:
        what = f"there are no hard links ({failure.strerror}), and CASA's weblogs have one: deliveries with one fail"
        yield error("hard-links", bench.area.label, what, "set weblog_cache to a folder elsewhere:", "conveyor config")
        return
    yield ok("hard-links", bench.area.label, "weblogs can be unpacked: it has hard links")


def durability(bench: Bench) -> Iterator[Finding]:
    """Whether names can be made durable, which READY relies on."""
    bench.fs.fsync(bench.folder)
    yield ok("durability", bench.area.label, "names can be made durable")


IN_AN_AREA = (claims_exclude, clock, ownership, exchange, hard_links, durability, flock)
BETWEEN_AREAS = (directories_cross, files_cross)
