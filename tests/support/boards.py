"""Boards for tests: entries without a file system, applications, and a request of HTTP as it stands, byte for byte."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from conveyor.api.area_listings import Listing
from conveyor.api.overview import Overview
from conveyor.api.overview_entry import Assignment, Judgement, OverviewEntry, Trouble
from conveyor.board.board_app import BoardApp, WeblogPlace
from conveyor.board.board_view import BoardView, board_view
from conveyor.board.reader_access import Access
from conveyor.board.serve_board import Dispatch
from conveyor.board.shared_overview import SharedOverview
from conveyor.board.weblog_app import WeblogApp
from conveyor.board.weblog_links import Tickets
from conveyor.documents.kept_documents import Progress
from conveyor.engine.claim import Holder
from conveyor.engine.host import Process
from conveyor.engine.survey import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp

HOSTS = frozenset({"localhost", "127.0.0.1", "testserver"})
TIME = "2026-11-28T12:00:00.000+00:00"
TICKETS = Tickets(b"a key of the tests")


def waiting(name: str, **changes: Any) -> OverviewEntry:
    """An entry that waits for QA since the morning."""
    root = Path.cwd() / "workspaces"  # of the test, and there is nothing
    given: dict[str, Any] = {
        "metadata": root / "spool" / name / "metadata.json",
        "spool": root / "spool" / name,
        "qa": root / "qa2" / name,
        "project": "13B-014",
        "capability": "calibration",
        "state": State.IN_QA,
        "delivered": "2026-11-28T08:00:00.000+00:00",
        "weblog": root / "weblog-cache" / name,
        "weblog_page": root / "weblog-cache" / name / "pipeline-1" / "html" / "index.html",
    }
    paths = {key: str(value) for key, value in given.items() if isinstance(value, Path)}
    return OverviewEntry(name, **(given | paths | changes))


def overview_of(entries: Iterable[OverviewEntry]) -> Overview:
    """An overview that has these entries."""
    return Overview(TIME, Listing(Path("/workspaces/spool")), (Listing(Path("/workspaces/qa2")),), tuple(entries))


def view_of(*entries: OverviewEntry) -> BoardView:
    """The board's view of these entries."""
    return board_view(overview_of(entries))


def everything(number: int) -> list[OverviewEntry]:
    """So many requests in the mix of a busy workspace: a quarter waits, some are in trouble, most are in spool."""
    made = []
    for count in range(number):
        name, project = f"tmp{count:05}xyz", f"{13 + count % 9}B-{count % 40:03}"
        judged = Judgement("fail", "2026-11-27T10:00:00+00:00", "da02", "flux scale off, spw 7")
        sets = (f"{project}.sb{28862036 + count}.eb{29155786 + count}.56782.5720116088",)
        common = {"project": project, "data_sets": sets, "size": 1_400_000_000_000 - count * 1000}
        time = f"2026-11-{1 + count % 27:02}T{count % 24:02}:00:00+00:00"
        match count % 20:
            case 0 | 1 | 2 | 3 | 4:
                assigned = Assignment("da02", "lead", TIME) if count % 3 else None
                made.append(waiting(name, **common, delivered=time, assigned=assigned))
            case 5:
                detail = "products: its link leads to nothing"
                made.append(
                    waiting(name, **common, trouble=Trouble.DANGLING, detail=detail, since=time, state=State.BROKEN)
                )
            case 6:
                made.append(waiting(name, **common, verdict=judged, state=State.IN_SPOOL, since=time))
            case _:
                made.append(waiting(name, **common, state=State.IN_SPOOL, weblog=None, weblog_page=None))
    return made


def moving() -> list[OverviewEntry]:
    """A request on its way to QA, with its progress, and one that came home as passed."""
    now = Progress("rawdata", "copy", 12_000, 412_000_000_000, 40_000, 1_200_000_000_000, 380_000_000, 2_074, TIME)
    holder = Holder(Process("nmpost007", "", "", "", 22_259, ""), "2026-11-28T11:40:00.000+00:00")
    passed = Judgement("pass", "2026-11-28T10:40:00.000+00:00", "da02")
    return [
        waiting(
            "tmpd7wvs5f", project="22B-101", state=State.IN_TRANSIT, progress=now, holder=holder, since=holder.since
        ),
        waiting("tmp8fn2kq", project="20A-346", state=State.IN_SPOOL, verdict=passed),
    ]


def flagged() -> list[OverviewEntry]:
    """Requests that wait with something to know before, the oldest of all."""
    imaged, size = str(Path.cwd() / "workspaces" / "image-qa" / "tmp3hk0wz"), 212_000_000_000
    common = {"deliveries": 2, "is_edited": True, "assigned": Assignment("da07", "lead", TIME)}
    sets = ("21A-407.sb39620801.eb40021137.59411.4033289352",)
    twice = waiting("tmp3hk0wz", qa=imaged, project="21A-407", data_sets=sets, size=size, **common)
    bare = waiting("tmp0b5lq1", project="19B-077", weblog=None, weblog_page=None)
    return [replace(one, delivered="2026-10-31T15:00:00.000+00:00") for one in (twice, bare)]


def board_app(
    *entries: OverviewEntry, access: Access | None = None, cache: Path | None = None, port: int | None = 8087
) -> Dispatch:
    """A board of these entries, with the weblogs of a cache on a port of their own."""
    view = view_of(*entries)

    async def looker() -> BoardView:
        return view

    return dispatch(SharedOverview(looker), access, cache, port)


def dispatch(
    overview: SharedOverview, access: Access | None = None, cache: Path | None = None, port: int | None = 8087
) -> Dispatch:
    """The application of both ports."""

    async def at_once(_: float) -> None:
        pass

    rules = access or Access(HOSTS)
    weblogs = WeblogApp(cache or Path("/nowhere"), TICKETS, HOSTS, "/" if port else "/weblog/")
    return Dispatch(BoardApp(overview, rules, weblogs, WeblogPlace(None, port), pause=at_once), weblogs, port)


@dataclass
class Answer:
    """What came back. ``headers`` have the last one of each name."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    pieces: int = 0


def ask(app: ASGIApp, path: str, *, method: str = "GET", port: int = 8086, body: bytes = b"", **headers: str) -> Answer:
    """Ask an application for a path as it stands, with nothing normalised. ``headers``: underscores are hyphens."""
    told = {"host": "testserver", **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw, _, query = path.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(raw),
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in told.items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", port),
    }
    answer, pieces = Answer(), list[bytes]()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            pieces.append(message.get("body", b""))

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]  # a coroutine, which its type does not promise
    answer.body, answer.pieces = b"".join(pieces), len(pieces)
    return answer
