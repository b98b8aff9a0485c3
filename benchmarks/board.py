"""The board with many requests and many readers: its first page, and how long locust's readers wait.

A workspace is filled as ``benchmarks/overview.py`` does, each weblog with a first page and plots. The real program serves it
on the loopback, and fifty readers read lists, requests and weblogs at once while the overview is made anew. Bare Starlette,
with one small page, is measured beside it. At last the same is written as files, twice.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.support.crowds import fill
from benchmarks.support.machine import description
from benchmarks.support.program import environment, program
from benchmarks.support.table import as_markdown
from conveyor.layout import WEBLOG_RECEIPT

if TYPE_CHECKING:
    from collections.abc import Iterator

_READERS = Path(__file__).with_name("support") / "board_readers.py"
_BARE = """
import sys, uvicorn
from starlette.responses import PlainTextResponse
uvicorn.run(PlainTextResponse("x" * 30_000), port=int(sys.argv[1]), log_config=None, access_log=False)
"""


_HTML, _PLOTS, _PLOT_BYTES = "pipeline-20210910T203614/html", 12, 60_000


def add_first_pages(root: Path) -> int:
    """Give each cached weblog a first page with plots, which are links to the same files; how many weblogs there are."""
    shown = root / "shown"
    shown.mkdir()
    names = [f"plot{number}.png" for number in range(_PLOTS)]
    for name in names:
        (shown / name).write_bytes(os.urandom(_PLOT_BYTES))
    (shown / "index.html").write_text("".join(f'<p><img src="{name}" alt="{name}"></p>\n' for name in names))
    weblogs = [path for path in (root / "weblog-cache").iterdir() if (path / WEBLOG_RECEIPT).exists()]
    for weblog in weblogs:
        for name in ("index.html", *names):
            os.link(shown / name, weblog / _HTML / name)
        receipt = json.loads((weblog / WEBLOG_RECEIPT).read_text())
        (weblog / WEBLOG_RECEIPT).write_text(json.dumps({**receipt, "page": f"{_HTML}/index.html"}))
    return len(weblogs)


def free_port() -> int:
    """A port of the loopback that nobody has at this moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(command: list[str], url: str, folder: Path) -> Iterator[int]:
    """A server, from its first answer on; its process."""
    with subprocess.Popen(command, env=environment(folder), stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(url)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _wait_for(url: str) -> None:
    for _ in range(3_000):
        try:
            _seconds(url)
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"{url} does not answer")


def _seconds(url: str) -> tuple[float, int]:
    """The seconds that a page takes, and its size in bytes."""
    begun = time.perf_counter()
    with urllib.request.urlopen(url) as answer:
        size = len(answer.read())
    return time.perf_counter() - begun, size


def first_page(url: str, rounds: int) -> dict[str, Any]:
    """The first page, warm: the median and the worst in milliseconds, and its size."""
    taken = [_seconds(url) for _ in range(rounds)]
    seconds = [one for one, _ in taken]
    return {"median_ms": 1000 * statistics.median(seconds), "worst_ms": 1000 * max(seconds), "bytes": taken[-1][1]}


def read_at_once(url: str, readers: int, seconds: int) -> dict[str, dict[str, float]]:
    """Have so many readers read for a while; by kind of page: answers, failures, and quantiles in milliseconds."""
    command = [sys.executable, "-m", "locust", "-f", str(_READERS), "--headless", "--host", url.rstrip("/")]
    command += ["-u", str(readers), "-r", str(readers), "-t", f"{seconds}s", "--json", "--only-summary"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = {}
    for kind in json.loads(done.stdout[done.stdout.index("[") :]):
        times = sorted(float(one) for one, count in kind["response_times"].items() for _ in range(count))
        quantiles = {f"p{share}_ms": times[min(len(times) - 1, len(times) * share // 100)] for share in (50, 95, 99)}
        found[kind["name"]] = {"answers": kind["num_requests"], "failures": kind["num_failures"], **quantiles}
    return found


def most_memory(process: int) -> int:
    """The most memory that a process has had by now, in bytes (proc_pid_status(5), VmHWM)."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def write_as_files(command: list[str], folder: Path) -> dict[str, float]:
    """Write the pages: seconds, processor seconds, the most memory of a process in bytes, and what became of the files."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=environment(folder), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, _, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    written, same, removed = map(int, re.findall(r"(\d+) (?:written|the same|removed)", said))
    busy = used.ru_utime + used.ru_stime
    counts = {"written": written, "same": same, "removed": removed}
    return {"seconds": seconds, "busy": busy, "memory": 1024 * used.ru_maxrss, **counts}


def measure(requests: int, readers: int, seconds: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Fill a workspace, serve it, and read it."""
    root, port, weblog_port = folder / "workspaces", free_port(), free_port()
    fill(root, requests, folder)
    weblogs = add_first_pages(root)
    url = f"http://127.0.0.1:{port}/"
    command = [*program(), "board", "--spool-root", str(root / "spool"), "--port", str(port)]
    with running([*command, "--weblog-port", str(weblog_port)], url, folder) as process:
        page = first_page(url, rounds)
        board = read_at_once(url, readers, seconds)
        memory = most_memory(process)
    bare_port = free_port()
    bare_url = f"http://127.0.0.1:{bare_port}/"
    with running([sys.executable, "-c", _BARE, str(bare_port)], bare_url, folder):
        bare = read_at_once(bare_url, readers, seconds)
    output = [*program(), "board", "--spool-root", str(root / "spool"), "--output", str(folder / "board")]
    files = [write_as_files(output, folder) for _ in range(2)]
    return {
        "schema": "conveyor-benchmark-board/1",
        "title": f"The board with {requests:,} requests and {readers} readers",
        "machine": description(folder),
        "rounds": rounds,
        "scale": 1,
        "requests": requests,
        "weblogs": weblogs,
        "readers": readers,
        "first_page": page,
        "memory": memory,
        "files": files,
        "board": board,
        "bare_starlette": bare,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000, metavar="N", help="requests of the workspace (10000)")
    parser.add_argument("--readers", type=int, default=50, metavar="N", help="readers at once (50)")
    parser.add_argument("--seconds", type=int, default=30, metavar="S", help="how long they read (30)")
    parser.add_argument("--rounds", type=int, default=30, metavar="N", help="how often the first page is read (30)")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where the workspace is made (a temporary one)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="conveyor-board-", dir=options.folder) as folder:
        result = measure(options.requests, options.readers, options.seconds, options.rounds, Path(folder).resolve())
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    print(as_markdown(result))


if __name__ == "__main__":
    main()
