"""Weblogs over HTTP: no way out of the cache, no origin, ranges, and no 404 while one is replaced."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio
import pytest
from starlette.datastructures import Headers

import conveyor
from conveyor.board import weblog_app
from conveyor.board.file_response import asked_range, send_file, type_of
from conveyor.filesystem.open_beneath import FileBeneath
from support.boards import TICKETS, Answer, ask, board_app
from support.workspace import HTML, Workspace

if TYPE_CHECKING:
    from conveyor.board.serve_board import Dispatch

PORT = 8087


@pytest.fixture
def app(workspace: Workspace) -> Dispatch:
    """The weblogs of a workspace where one request was delivered."""
    assert conveyor.deliver(workspace.metadata).error is None
    return board_app(cache=workspace.weblog.parent)


def _get(app: Dispatch, request: str, path: str, **more: Any) -> Answer:
    return ask(app, f"/{TICKETS.ticket(request)}/{request}/{path}", port=PORT, **more)


def test_a_page_comes_in_a_sandbox(app: Dispatch) -> None:
    """A page has its type, no origin, no way to hand on its address, and nothing of the board's."""
    answer = _get(app, "tmpiox5trbp", f"{HTML}/index.html", cookie="conveyor-board=secret")
    assert (answer.status, answer.body) == (200, b"observation overview")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in policy
    assert "set-cookie" not in answer.headers


def test_a_weblog_is_found_by_its_receipt(app: Dispatch) -> None:
    """The address of a weblog alone leads to its first page, and that of a folder to its index."""
    ticket = TICKETS.ticket("tmpiox5trbp")
    for path, to in (
        (f"/{ticket}/tmpiox5trbp", f"tmpiox5trbp/{HTML}/index.html"),
        (f"/{ticket}/tmpiox5trbp/", f"{HTML}/index.html"),
    ):
        answer = ask(app, path, port=PORT)
        assert (answer.status, answer.headers["location"]) == (307, to)
    assert _get(app, "tmpiox5trbp", HTML).headers["location"] == "html/"
    assert _get(app, "tmpiox5trbp", f"{HTML}/").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "../../spool/tmpiox5trbp/metadata.json",
        "%2e%2e/%2e%2e/spool/tmpiox5trbp/metadata.json",
        "..%2f..%2fspool%2ftmpiox5trbp%2fmetadata.json",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        f"{HTML}/..%5c..%5cx",
        f"{HTML}/%00",
        f"{HTML}/t1-1.html%00.png",
        f"{HTML}//t1-1.html",
        ".conveyor.json",
        "%2econveyor.json",
        f"{HTML}/../../.conveyor.json",
        f"{HTML}/stage1/",
        f"{HTML}/missing",
        "..;/x",
        "%c0%ae%c0%ae/x",
        "%252e%252e/x",
        "\udcff".encode("utf-8", "surrogateescape").hex(),
    ],
)
def test_no_path_leads_out_and_nothing_is_listed(app: Dispatch, path: str) -> None:
    """Dots and slashes in every spelling, the receipt and folders without an index are not there."""
    answer = _get(app, "tmpiox5trbp", path)
    assert answer.status == 404
    assert b"metadata" not in answer.body
    assert answer.headers["content-security-policy"].startswith("sandbox;")


@pytest.mark.parametrize("text", ["/etc/passwd", "../../../../spool/tmpiox5trbp/metadata.json", "../../.conveyor.json"])
def test_a_link_that_leads_out_is_not_followed(app: Dispatch, workspace: Workspace, text: str) -> None:
    """Somebody who may write in the cache makes a link: it shows nothing."""
    (workspace.weblog / HTML / "link.html").symlink_to(text)
    assert _get(app, "tmpiox5trbp", f"{HTML}/link.html").status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/x",
        "/wrong/tmpiox5trbp/x",
        "/{ticket}",
        "/{ticket}/other/x",
        "/{ticket}/.tmpiox5trbp.conveyor/x",
        "/{other}/../x",
        "//",
    ],
)
def test_only_a_ticket_opens_a_weblog_and_no_other(app: Dispatch, path: str) -> None:
    """Without the ticket of that request there is nothing, not even whether it has a weblog."""
    ticket = TICKETS.ticket("tmpiox5trbp")
    answer = ask(app, path.format(ticket=ticket, other=TICKETS.ticket("..")), port=PORT)
    assert (answer.status, answer.body) == (404, b"Not here. Open the weblog from the board.\n")


def test_only_the_board_names_the_host(app: Dispatch) -> None:
    """A page of another name, led here by its own DNS, gets nothing; and nothing can be sent."""
    assert _get(app, "tmpiox5trbp", f"{HTML}/index.html", host="evil.example").status == 404
    assert _get(app, "tmpiox5trbp", f"{HTML}/index.html", host="LOCALHOST.:8087").status == 200
    assert _get(app, "tmpiox5trbp", f"{HTML}/index.html", method="POST").status == 405


def test_what_conveyor_did_not_cache_is_not_shown(app: Dispatch, workspace: Workspace) -> None:
    """A folder in the cache without a receipt is somebody's own."""
    (workspace.weblog.parent / "own").mkdir()
    (workspace.weblog.parent / "own" / "x.html").touch()
    assert _get(app, "own", "x.html").status == 404


def test_below_the_board_weblogs_have_a_prefix(workspace: Workspace) -> None:
    """Without a port of their own they stand below the board, in the same sandbox."""
    conveyor.deliver(workspace.metadata)
    app = board_app(cache=workspace.weblog.parent, port=None)
    answer = ask(app, f"/weblog/{TICKETS.ticket('tmpiox5trbp')}/tmpiox5trbp/{HTML}/index.html")
    assert answer.status == 200
    assert answer.headers["content-security-policy"].startswith("sandbox")


def test_names_keep_their_bytes(app: Dispatch, workspace: Workspace) -> None:
    """A plot whose name is no UTF-8, or has a sign that addresses use, is found by its bytes."""
    for name in (b"\xff\xfe.png", b"plot #1?.png", "Jodrell Bänk.png".encode()):
        Path(os.fsdecode(os.fsencode(workspace.weblog / HTML) + b"/" + name)).write_bytes(b"x")
        assert _get(app, "tmpiox5trbp", f"{HTML}/{quote(name)}").status == 200


def test_what_a_browser_has_is_not_sent_again(app: Dispatch, workspace: Workspace) -> None:
    """The tag of an answer, sent back, is answered by nothing; a replaced weblog has another, whatever its times."""
    path = f"{HTML}/stage1/plot.png"
    first = _get(app, "tmpiox5trbp", path)
    again = _get(app, "tmpiox5trbp", path, if_none_match=f'W/"x", {first.headers["etag"]}')
    assert (again.status, again.body) == (304, b"")
    plot = workspace.weblog / path
    status = plot.stat()
    plot.write_bytes(bytes(998) + b"y")
    os.utime(plot, ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert _get(app, "tmpiox5trbp", path, if_none_match=first.headers["etag"]).status == 200


@pytest.mark.parametrize(
    ("header", "status", "length"),
    [
        ("bytes=0-9", 206, 10),
        ("bytes=990-", 206, 9),
        ("bytes=-5", 206, 5),
        ("bytes=0-99999", 206, 999),
        ("bytes=5-2", 200, 999),
        ("bytes=0-1,5-6", 200, 999),
        ("lines=0-1", 200, 999),
        ("bytes=-", 200, 999),
        ("bytes=999-", 416, 0),
        ("bytes=-0", 416, 0),
    ],
)
def test_a_part_of_a_file(app: Dispatch, header: str, status: int, length: int) -> None:
    """A range is answered by that part; a senseless one by the whole, and one beyond the end by none."""
    answer = _get(app, "tmpiox5trbp", f"{HTML}/stage1/plot.png", range=header)
    assert (answer.status, len(answer.body)) == (status, length)
    assert int(answer.headers["content-length"]) == length


def test_a_range_of_another_version_is_the_whole(app: Dispatch) -> None:
    """A part is never put to the other part of another file; a date tells too little, and HEAD knows no parts."""
    path = f"{HTML}/stage1/plot.png"
    tag = _get(app, "tmpiox5trbp", path).headers["etag"]
    for condition, status in ((tag, 206), (f"W/{tag}", 200), ('"old"', 200), ("Sat, 28 Nov 2026 12:00:00 GMT", 200)):
        assert _get(app, "tmpiox5trbp", path, range="bytes=0-9", if_range=condition).status == status
    head = _get(app, "tmpiox5trbp", path, range="bytes=0-9", method="HEAD")
    assert (head.status, head.headers["content-length"]) == (200, "999")


def test_ranges_are_read_as_they_should_be() -> None:
    """From and to, the end excluded."""
    assert asked_range("bytes=2-3", 10) == (2, 4)
    assert asked_range(None, 10) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("casapy.log", "text/plain; charset=utf-8"),
        ("casa_pipescript.py", "text/plain; charset=utf-8"),
        ("plot.PNG", "image/png"),
        ("x.js", "text/javascript; charset=utf-8"),
        ("weblog.tgz", "application/gzip"),
        ("cont.fits", "application/octet-stream"),
        ("noname", "application/octet-stream"),
        ("html", "application/octet-stream"),
        ("evil.html.gz", "application/gzip"),
    ],
)
def test_types_go_by_names_alone(name: str, kind: str) -> None:
    """Whatever the host's tables say, a type is the same; what is unknown is nothing that a browser would run."""
    assert type_of(name) == kind


def test_a_large_file_goes_in_pieces(app: Dispatch, workspace: Workspace) -> None:
    """Of a file of 64 MB no more than a piece is in memory at a time, and HEAD sends nothing of it."""
    with (workspace.weblog / HTML / "casa.bin").open("wb") as file:
        file.truncate(64_000_000)
    answer = _get(app, "tmpiox5trbp", f"{HTML}/casa.bin")
    assert len(answer.body) == 64_000_000
    assert answer.pieces == 64_000_000 // (256 * 1024) + 2
    head = _get(app, "tmpiox5trbp", f"{HTML}/casa.bin", method="HEAD")
    assert (head.body, head.headers["content-length"]) == (b"", "64000000")


def test_a_slow_reader_holds_no_thread_and_is_let_go() -> None:
    """While a reader takes nothing, all threads are free; and in the end its file is closed."""
    closed: list[bool] = []

    class File(FileBeneath):
        def read_at(self, offset: int, count: int) -> bytes:
            return bytes(count)

        def close(self) -> None:
            closed.append(True)

    limiter = anyio.CapacityLimiter(1)

    async def stuck() -> None:
        async def send(message: object) -> None:
            assert limiter.available_tokens == 1
            if "body" in str(message):
                await anyio.sleep_forever()

        file = File(-1, 10_000_000, 0.0, "x")
        await send_file("GET", Headers({}), file, {}, send, limiter=limiter, patience=0.01)

    with pytest.raises(TimeoutError):
        anyio.run(stuck)


def test_a_weblog_that_is_missing_for_a_moment_is_waited_for(
    app: Dispatch, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two renames of a replacement without an exchange, a reader waits, and finds the new one."""
    replaced = workspace.weblog.parent / ".tmpiox5trbp.replaced"
    workspace.weblog.rename(replaced)
    real = weblog_app.is_replaced

    def put_in_place(cache: Path, request: str) -> bool:
        found = real(cache, request)
        if replaced.exists():
            replaced.rename(workspace.weblog)
        return found

    monkeypatch.setattr(weblog_app, "is_replaced", put_in_place)
    assert _get(app, "tmpiox5trbp", f"{HTML}/index.html").status == 200


@pytest.mark.parametrize(("code", "status"), [(errno.EIO, 503), (errno.EACCES, 404), (errno.ETIMEDOUT, 503)])
def test_errors_of_the_file_system_are_answers(
    app: Dispatch, monkeypatch: pytest.MonkeyPatch, code: int, status: int
) -> None:
    """What cannot be read at this moment is told apart from what is not there."""

    def fails(*_: object) -> FileBeneath:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(weblog_app, "open_cached", fails)
    assert _get(app, "tmpiox5trbp", f"{HTML}/index.html").status == status
