"""A weblog as CASA's pipeline makes it: its folders, relative links, frames, scripts that load pages, plots, a long log."""

from __future__ import annotations

import io
import struct
import tarfile
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HTML = "pipeline-20210910T203614/html"
_MS = "sessionSession_default/13B-014.sb28862036.eb29155786.ms"
_LINE = (
    b"2021-09-10 20:36:14\tINFO\tgaincal::::casa\tSolving for 13B-014.ms spw 7, scan 42: flux scale 1.000 +- 0.001 Jy\n"
)

_HEAD = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<link rel="stylesheet" href="{up}css/pipeline.css"><script src="{up}js/pipeline.js"></script></head><body>
<div class="navbar"><a href="{up}t1-1.html">Home</a> <a href="{up}t2-1.html">By Topic</a>
<a href="{up}t1-4.html">By Task</a></div>
"""
_CSS = b"""@font-face { font-family: icons; src: url(../fonts/icons.woff2); }
body { font-family: sans-serif; } .navbar { background: #cde url(../img/logo.png) no-repeat; } .plot { width: 8em; }
"""
# As the pipeline's own scripts do: a page of a stage is fetched and put into the frame of the page that asked for it.
_JS = b"""document.addEventListener("DOMContentLoaded", function () {
  var asked = new URLSearchParams(location.search), into = document.getElementById("app-container");
  if (into) {
    var load = new XMLHttpRequest();
    load.open("GET", asked.get("subpage") || "stage1/t2-4m_details.html");
    load.onload = function () { into.innerHTML = load.responseText; document.body.dataset.loaded = load.status; };
    load.onerror = function () { document.body.dataset.loaded = "error"; };
    load.send();
  }
  document.body.dataset.scripts = "run";
});
"""


def png(red: int, width: int = 160, height: int = 120) -> bytes:
    """An image of one colour and a diagonal (https://www.w3.org/TR/png/)."""
    rows = b"".join(
        b"\0"
        + b"".join(b"\0\0\0" if column * height // width == row else bytes((red, 120, 160)) for column in range(width))
        for row in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    packed = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def weblog_files(stages: int, plots: int, log_bytes: int, note: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a weblog by their paths; ``plots`` are those of a stage, and each has a thumbnail too."""
    images = [png(red) for red in range(40, 256, 43)]
    front = "".join(
        f'<p><img class="plot" src="img/overview{number}.png" alt="overview {number}"></p>' for number in (1, 2)
    )
    yield "t1-1.html", (_HEAD.format(title="Observation Overview", up="") + f"<h1>{note}</h1>{front}").encode()
    yield "t2-1.html", (_HEAD.format(title="By Topic", up="") + f'<iframe src="{_MS}/t2-2-1.html"></iframe>').encode()
    yield "t1-4.html", (_HEAD.format(title="By Task", up="") + _tasks(stages)).encode()
    yield "t2-4m.html", (_HEAD.format(title="Task", up="") + '<div id="app-container"></div>').encode()
    yield f"{_MS}/t2-2-1.html", (_HEAD.format(title="Spectral Setup", up="../../") + "<h1>Spectral setup</h1>").encode()
    for name, content in (
        ("css/pipeline.css", _CSS),
        ("js/pipeline.js", _JS),
        ("fonts/icons.woff2", b"wOF2" + bytes(60)),
    ):
        yield name, content
    for number, name in enumerate(("logo", "overview1", "overview2")):
        yield f"img/{name}.png", images[number]
    yield "casa_pipescript.py", b"h_init()\n"
    yield "pipeline_aquareport.xml", b"<?xml version='1.0'?><PipelineAquaReport/>"
    yield "stage1/casapy.log", _LINE * (log_bytes // len(_LINE))
    for stage in range(1, stages + 1):
        thumbs = "".join(
            f'<a href="stage{stage}/{_plot(stage, plot)}.png"><img class="plot" alt="plot {plot}" '
            f'src="stage{stage}/{_plot(stage, plot)}.thumb.png"></a>'
            for plot in range(plots)
        )
        yield f"stage{stage}/t2-4m_details.html", f"<h2>{stage}. hifv_task</h2>{thumbs}".encode()
        for plot in range(plots):
            for suffix in ("png", "thumb.png"):
                yield f"stage{stage}/{_plot(stage, plot)}.{suffix}", images[(stage + plot) % len(images)]


def _tasks(stages: int) -> str:
    return "".join(
        f'<p><a href="t2-4m.html?sidebar=sidebar_stage{stage}&amp;subpage=stage{stage}/t2-4m_details.html">'
        f"{stage}. hifv_task</a></p>"
        for stage in range(1, stages + 1)
    )


def _plot(stage: int, plot: int) -> str:
    return f"13B-014.ms.h_stage{stage}_task.s{stage}_{plot}.amp-vs-freq.spw{plot % 16}"


def write_weblog(
    path: Path, *, stages: int = 12, plots: int = 4, log_bytes: int = 100_000, note: str = "Observation Overview"
) -> int:
    """Write a weblog tar as the pipeline exports it; the number of its files."""
    count = 0
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, content in weblog_files(stages, plots, log_bytes, note):
            info = tarfile.TarInfo(f"{HTML}/{name}")
            info.size, info.mode, info.mtime = len(content), 0o600, 1_631_306_174
            tar.addfile(info, io.BytesIO(content))
            count += 1
        for name, kind, target in (
            ("index.html", tarfile.SYMTYPE, "t1-1.html"),
            ("casa.log", tarfile.LNKTYPE, f"{HTML}/stage1/casapy.log"),
        ):
            info = tarfile.TarInfo(f"{HTML}/{name}")
            info.type, info.linkname = kind, target
            tar.addfile(info)
            count += 1
    return count
