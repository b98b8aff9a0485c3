"""The board with many requests and many readers: its first page, and how long locust's readers wait.

A workspace is filled as ``benchmarks/overview.py`` does, the real program serves it on the loopback, and fifty readers
read at once while the overview is made anew. Bare Starlette, with one small page, is measured beside it.
"""

from __future__ import annotations

import argparse
import json
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
from benchmarks.support.program import environment, program

if TYPE_CHECKING:
    from collections.abc import Iterator

_READERS = Path(__file__).with_name("support") / "board_readers.py"
_BARE = """
import sys, uvicorn
from starlette.responses import PlainTextResponse
uvicorn.run(PlainTextResponse("x" * 30_000), port=int(sys.argv[1]), log_config=None, access_log=False)
"""


def free_port() -> int:
    """A port of the loopback that nobody has at this moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(command: list[str], url: str, folder: Path) -> Iterator[None]:
    """A server, from its first answer on."""
    with subprocess.Popen(command, env=environment(folder), stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(url)
            yield
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


def measure(requests: int, readers: int, seconds: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Fill a workspace, serve it, and read it."""
    root, port, weblog_port = folder / "workspaces", free_port(), free_port()
    fill(root, requests, folder)
    url = f"http://127.0.0.1:{port}/"
    command = [*program(), "board", "--spool-root", str(root / "spool"), "--port", str(port)]
    with running([*command, "--weblog-port", str(weblog_port)], url, folder):
        page = first_page(url, rounds)
        board = read_at_once(url, readers, seconds)
    bare_port = free_port()
    bare_url = f"http://127.0.0.1:{bare_port}/"
    with running([sys.executable, "-c", _BARE, str(bare_port)], bare_url, folder):
        bare = read_at_once(bare_url, readers, seconds)
    return {
        "schema": "conveyor-board/1",
        "requests": requests,
        "readers": readers,
        "first_page": page,
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
    page = result["first_page"]
    print(
        f"{result['requests']} requests: first page {page['median_ms']:.0f} ms (worst {page['worst_ms']:.0f} ms)",
        end="",
    )
    print(f", {page['bytes'] / 1000:.0f} kB; {result['readers']} readers at once, milliseconds:\n")
    print("| | page | answers | failures | median | 95 % | 99 % |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for who in ("board", "bare_starlette"):
        for kind, found in sorted(result[who].items()):
            numbers = " | ".join(f"{found[one]:.0f}" for one in ("answers", "failures", "p50_ms", "p95_ms", "p99_ms"))
            print(f"| {who.replace('_', ' ')} | {kind} | {numbers} |")


if __name__ == "__main__":
    main()
