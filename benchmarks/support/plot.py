"""Pictures of results, for the documentation."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.support.table import subject

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.support.table import Result

_INK, _OTHERS, _OWN, _ROUND = "#333333", "#a9b4c0", "#2f6f9f", "#00000066"
_ROW, _WIDTH = 0.32, 8.5  # inches
# The same results give the same file: no date, and names of elements that do not change.
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "conveyor",
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(results: Sequence[Result], file: Path) -> None:
    """Write one picture with a panel for each result; those that there is no picture of are left out."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    shown = [result for result in results if result["schema"] in _PANELS]
    heights = [_ROW * max(6, len(result["runs"])) + 1 for result in shown]
    with rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
        axes = figure.subplots(len(shown), 1, height_ratios=heights, squeeze=False)
        for result, axis in zip(shown, axes[:, 0], strict=True):
            axis.set_title(subject(result), loc="left", fontweight="bold")
            _PANELS[result["schema"]](axis, result)
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _copying(axis: Axes, result: Result) -> None:
    runs = sorted(result["runs"].items(), key=lambda item: -statistics.median(item[1]["seconds"]))
    for row, (key, run) in enumerate(runs):
        median = statistics.median(run["seconds"])
        axis.barh(row, median, color=_OWN if key == "conveyor" else _OTHERS)
        axis.plot(run["seconds"], [row] * len(run["seconds"]), "|", color=_ROUND, markersize=9)
        axis.annotate(f"{median:.1f}", (max(run["seconds"]), row), (6, 0), textcoords="offset points", va="center")
    axis.set_yticks(range(len(runs)), [f"{run['label']}{' ✓' if run['verified'] else ''}" for _, run in runs])
    axis.set_xlabel("seconds until all is on the devices: median, and each round; ✓ verified")


def _files(axis: Axes, result: Result) -> None:
    files = [run["files"] for run in result["runs"]]
    axis.loglog(files, [statistics.median(run["seconds"]) for run in result["runs"]], "o-", color=_OWN)
    axis.set_xlabel("files")
    axis.set_ylabel("seconds", color=_OWN)
    memory = axis.twinx()
    megabytes = [max(run["proportional"]) / 1e6 for run in result["runs"]]
    memory.plot(files, megabytes, "s--", color=_INK)
    memory.set_ylim(0, 1.2 * max(megabytes))
    memory.set_ylabel("MB, all processes")
    memory.spines["right"].set_visible(True)


def _scaling(axis: Axes, result: Result) -> None:
    numbers = result["processes"]
    names = dict.fromkeys(key.rpartition("-")[0] or key for key in result["runs"])
    for place, name in enumerate(names):
        runs = [result["runs"].get(f"{name}-{number}", result["runs"].get(name)) for number in numbers]
        own = name == "conveyor"
        axis.plot(
            numbers,
            [statistics.median(run["seconds"]) for run in runs],
            "o-" if f"{name}-{numbers[0]}" in result["runs"] else "--",
            color=_OWN if own else f"C{place}",
            linewidth=2 if own else 1,
            label=runs[0]["label"],
        )
    axis.set_xscale("log", base=2)
    axis.set_xticks(numbers, [str(number) for number in numbers])
    axis.set_ylim(0)
    axis.set_xlabel("processes")
    axis.set_ylabel("seconds")
    axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))


_PANELS = {
    "conveyor-benchmark-copying/1": _copying,
    "conveyor-benchmark-scaling/1": _scaling,
    "conveyor-benchmark-files/1": _files,
}
