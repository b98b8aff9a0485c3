"""Tables that are aligned as text and are Markdown at the same time, and what the results say in them."""

from __future__ import annotations

import math
import operator
import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.support.rounds import ratio, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    Result = dict[str, Any]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is text, the others are figures and stand to the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        return f"| {' | '.join(cells)} |"

    return "\n".join([line(header), line(rule), *map(line, rows)])


def as_markdown(result: Result) -> str:
    """What a result says: a sentence on what was measured, and a table."""
    return f"{caption(result)}\n\n{_TABLES[result['schema']](result)}"


def subject(result: Result) -> str:
    """What was measured."""
    return str(result["title"]) + (f", at {result['scale']:g} of the size" if result["scale"] != 1 else "")


def caption(result: Result) -> str:
    """What was measured, and on what."""
    machine, rounds = result["machine"], result["rounds"]
    return (
        f"{subject(result)}; {rounds} {'rounds' if rounds > 1 else 'round'}, {machine['processors']} processors, "
        f"Linux {machine['kernel'].partition('-')[0]}, Python {machine['python']}, Conveyor {machine['conveyor']}, "
        f"images on {machine['images_on']}."
    )


def _copying(result: Result) -> str:
    seconds = {key: run["seconds"] for key, run in result["runs"].items()}
    own, appeared = seconds["conveyor"], result["runs"]["conveyor"]["appeared"]
    rows = [
        [
            f"{run['label']}{', verified' if run['verified'] else ''}",
            f"{statistics.median(seconds[key]):.2f}",
            _ratio(seconds[key], seconds["mv"]) if "mv" in seconds else "–",
            *(_against(own, seconds[key]) if key != "conveyor" else ("–", "–")),
        ]
        for key, run in result["runs"].items()
    ]
    rows.append(["conveyor, until the data is at its goal", f"{statistics.median(appeared):.2f}", "–", "–", "–"])
    return table(["command", "seconds", "ratio to mv", "conveyor's ratio to it", "least to most"], rows)


def _against(own: Sequence[float], other: Sequence[float]) -> tuple[str, str]:
    least, most = spread(own, other)
    return _ratio(own, other), "–" if math.isnan(least) else f"{least:.2f}–{most:.2f}"


def _ratio(own: Sequence[float], other: Sequence[float]) -> str:
    """The ratio in words; a dash if the other took less than the clock shows, as `mv` of a few files by a rename."""
    figure = ratio(own, other)
    return "–" if math.isnan(figure) else f"{figure:.2f}"


def _scaling(result: Result) -> str:
    runs = result["runs"]
    rows = [
        [
            run["label"],
            str(number),
            f"{statistics.median(run['seconds']):.2f}",
            f"{statistics.median(run['user']):.2f}",
            f"{statistics.median(run['system']):.2f}",
            *(_ratios(runs[f"conveyor-{number}"], run) if not key.startswith("conveyor") else ["–"] * 4),
        ]
        for number in result["processes"]
        for key, run in runs.items()
        if key.rpartition("-")[2] in (key, str(number))
    ]
    header = ["command", "processes", "seconds", "user", "system", "conveyor's ratio to it", "least to most", "of user"]
    sentences = " ".join(filter(None, (_removal(result), _serial(result), _each_file(result))))
    return f"{table([*header, 'of user and system'], rows)}\n\n{sentences}"


def _ratios(own: Result, other: Result) -> list[str]:
    busy = [[sum(pair) for pair in zip(run["user"], run["system"], strict=True)] for run in (own, other)]
    return [
        *_against(own["seconds"], other["seconds"]),
        _ratio(own["user"], other["user"]),
        _ratio(*busy),
    ]


def _removal(result: Result) -> str:
    runs = (result["runs"][f"conveyor-{number}"] for number in result["processes"])
    ratios = ", ".join(_ratio(run["seconds"], run["appeared"]) for run in runs)
    return f"Until the source is removed, conveyor takes {ratios} of the time until the data is at its goal."


def _serial(result: Result) -> str:
    """The processor time of the process that hands out the work, for a file, beyond what a small tree takes it."""
    more = result["files"] - result["few"]
    runs = [result["runs"][f"conveyor-{number}"] for number in result["processes"] if number > 1]
    shares = [statistics.median(map(operator.sub, run["own"], run["own_of_few"])) / more for run in runs]
    figures = ", ".join(f"{1e6 * share:.1f}" for share in shares)
    if not figures:
        return ""
    return f"Of each file more, the process that hands out the work has {figures} µs where there are more than one."


def _each_file(result: Result) -> str:
    """The processor time of each file, beyond what a small tree takes: the start, and whatever else is done once."""
    more, runs = result["files"] - result["few"], result["runs"]
    figures = []
    for number in result["processes"]:
        own, bare = runs[f"conveyor-{number}"], runs.get(f"bare-{number}", {})
        if "user_of_few" not in bare:
            return ""
        user, system, bare_user, bare_system = (
            [1e6 * (all_ - some) / more for all_, some in zip(run[field], run[f"{field}_of_few"], strict=True)]
            for run in (own, bare)
            for field in ("user", "system")
        )
        busy, bare_busy = list(map(operator.add, user, system)), list(map(operator.add, bare_user, bare_system))
        figures.append(
            f"{statistics.median(user):.1f} µs of user time, {_ratio(user, bare_user)} of the bare copy's, and "
            f"{statistics.median(busy):.1f} µs with the system's, {_ratio(busy, bare_busy)} of it"
        )
    return f"Without what is done once, as the start, a file takes conveyor {'; '.join(figures)}."


def _same_filesystem(result: Result) -> str:
    beyond = "µs a file beyond a rename"
    header = ["command", "seconds", "processor seconds", "ratio to mv", "least to most", beyond, "of processors"]
    return "\n\n".join(
        f"{layout['title']}:\n\n{table(header, _layout_rows(layout['runs'], result['files']))}"
        for layout in result["runs"].values()
    )


def _layout_rows(runs: dict[str, Result], files: int) -> list[list[str]]:
    rename = runs.get("conveyor-rename")
    rows = []
    for key, run in runs.items():
        more = ["–", "–"]
        if rename is not None and key == "conveyor":
            pairs = [map(operator.sub, run[what], rename[what]) for what in ("seconds", "busy")]
            more = [f"{1e6 * statistics.median(differences) / files:.1f}" for differences in pairs]
        rows.append(
            [
                f"{run['label']}{', by ' if run['way'] else ''}{run['way']}",
                f"{statistics.median(run['seconds']):.2f}",
                f"{statistics.median(run['busy']):.2f}",
                *(_against(run["seconds"], runs["mv"]["seconds"]) if key != "mv" else ("–", "–")),
                *more,
            ]
        )
    return rows


def _weblog(result: Result) -> str:
    runs = result["runs"]
    own = runs["conveyor"]
    rows = [
        [
            run["label"],
            f"{statistics.median(run['seconds']):.2f}",
            *(_against(own["seconds"], run["seconds"]) if run is not own else ("–", "–")),
            " + ".join(f"{statistics.median(run[part]):.2f}" for part in ("user", "system") if part in run)
            or f"{statistics.median(run['busy']):.2f}",
            _ratio(own["busy"], run["busy"]) if run is not own else "–",
        ]
        for run in runs.values()
    ]
    header = ["command", "seconds", "conveyor's ratio to it", "least to most", "processor seconds", "ratio of these"]
    text, memory = table(header, rows), own.get("memory")
    if memory is None:
        return text
    return f"{text}\n\nFor a weblog of {memory['files']:,} small files conveyor takes {memory['bytes'] / 1e6:.0f} MB."


def _files(result: Result) -> str:
    rows = [
        [
            f"{run['files']:,}",
            f"{statistics.median(run['seconds']):.2f}",
            f"{1e6 * statistics.median(run['seconds']) / run['files']:.0f}",
            f"{max(run['proportional']) / 1e6:.0f}",
            f"{max(run['resident']) / 1e6:.0f}",
            f"{max(run['processes'])}",
        ]
        for run in result["runs"]
    ]
    header = ["files", "seconds", "µs a file", "MB, shared pages once", "MB, shared pages each time", "processes"]
    return table(header, rows)


def _requests(result: Result) -> str:
    rows = [
        [
            f"{run['requests']} by {run['way']}",
            str(run["jobs"]),
            f"{statistics.median(run['seconds']):.2f}",
            f"{1e3 * statistics.median(run['seconds']) / run['requests']:.0f}",
        ]
        for run in result["runs"]
    ]
    return table(["requests", "--jobs", "seconds", "ms a request"], rows)


def _overview(result: Result) -> str:
    rows = [
        [
            run["label"],
            f"{run['requests']:,}",
            f"{run['on']}, {run['cache']}",
            str(run["mounts"]),
            f"{statistics.median(run['seconds']):.2f}",
            f"{1e3 * statistics.median(run['busy']) / run['requests']:.3f}",
            f"{run['calls'] / run['requests']:.0f}" if run["calls"] is not None else "–",
            f"{max(run['proportional']) / 1e6:.0f}",
        ]
        for run in result["runs"]
    ]
    header = [
        "command",
        "requests",
        "on",
        "mounts",
        "seconds",
        "processor ms a request",
        "system calls a request",
        "MB",
    ]
    return table(header, rows)


def _board(result: Result) -> str:
    page, files = result["first_page"], result["files"]
    rows = [
        [
            kind if who == "board" else f"{kind}, of bare Starlette",
            *(f"{found[one]:.0f}" for one in ("answers", "failures", "p50_ms", "p95_ms", "p99_ms")),
        ]
        for who in ("board", "bare_starlette")
        for kind, found in sorted(result[who].items())
    ]
    header = ["what is read", "answers", "failures", "median ms", "95 % ms", "99 % ms"]
    written = [
        [
            run,
            *(f"{one[what]}" for what in ("written", "same")),
            f"{one['seconds']:.1f}",
            f"{one['busy']:.1f}",
            f"{one['memory'] / 1e6:.0f}",
        ]
        for run, one in zip(("first", "second"), files, strict=True)
    ]
    return (
        f"The first page takes {page['median_ms']:.0f} ms (median, warm; the worst {page['worst_ms']:.0f} ms) and has "
        f"{page['bytes'] / 1000:.0f} kB; the server takes {result['memory'] / 1e6:.0f} MB at most.\n\n"
        f"{table(header, rows)}\n\nWritten as files:\n\n"
        + table(["run", "files written", "the same", "seconds", "processor seconds", "MB"], written)
    )


_TABLES = {
    "conveyor-benchmark-board/1": _board,
    "conveyor-benchmark-overview/2": _overview,
    "conveyor-benchmark-copying/1": _copying,
    "conveyor-benchmark-scaling/1": _scaling,
    "conveyor-benchmark-same-filesystem/1": _same_filesystem,
    "conveyor-benchmark-weblog/1": _weblog,
    "conveyor-benchmark-files/1": _files,
    "conveyor-benchmark-requests/1": _requests,
}
