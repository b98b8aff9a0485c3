"""The board over HTTP: who is let in, what is escaped, and that nothing can be changed."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from ipaddress import ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from conveyor.api.overview_entry import Assignment, Judgement, Trouble
from conveyor.board import board_pages
from conveyor.board.board_app import requests_csv
from conveyor.board.board_view import Choice, View
from conveyor.board.reader_access import COOKIE, Access
from conveyor.board.request_details import history_entries, images_of
from conveyor.board.serve_board import ServerOptions, make_access, read_token
from conveyor.board.shared_overview import SharedOverview
from conveyor.engine.survey import State
from conveyor.errors import ConfigurationError, ConveyorError, IoFailedError, NotPermittedError
from support.boards import HOSTS, TICKETS, TIME, ask, board_app, dispatch, everything, view_of, waiting

if TYPE_CHECKING:
    from pathlib import Path

    from conveyor.board.board_view import BoardView
    from conveyor.board.serve_board import Dispatch
    from support.boards import Answer

TOKEN = b"0123456789abcdefghijklmn"
HOSTILE = "\"><script>alert(1)</script>&'{{7*7}}=1+1"


def test_the_page_of_what_waits() -> None:
    """The list names the request, its project and age, and its weblog's first page, on the port of the weblogs."""
    answer = ask(board_app(waiting("tmpabc")), "/")
    assert answer.status == 200
    page = answer.body.decode()
    for expected in (
        "tmpabc",
        "13B-014",
        "4 h",
        f"http://testserver:8087/{TICKETS.ticket('tmpabc')}/tmpabc/pipeline-1/html/index.html",
    ):
        assert expected in page


def test_the_page_of_a_request() -> None:
    """It has the states, the places, and the commands to judge it."""
    entry = waiting("tmpabc", directories={"products": State.IN_QA}, assigned=Assignment("da02", "lead", ""))
    page = ask(board_app(entry), "/request/tmpabc/").body.decode()
    for expected in (
        "conveyor pass tmpabc -m",
        "conveyor fail tmpabc -m",
        "products",
        "/workspaces/qa2/tmpabc",
        "da02",
    ):
        assert expected in page
    assert ask(board_app(entry), "/request/tmpabc/weblog").status == 302


def test_everything_that_people_wrote_is_escaped() -> None:
    """Names, titles, reasons and details with every sign that means something stand as text, in pages and addresses."""
    judged = Judgement("fail", "2026-11-28T10:00:00+00:00", HOSTILE, HOSTILE)
    common = {"project": HOSTILE, "data_sets": (HOSTILE,), "assigned": Assignment(HOSTILE, HOSTILE, "")}
    hostile = waiting(HOSTILE, **common, warnings=(HOSTILE,), directories={HOSTILE: State.IN_QA})
    troubled = waiting("t", trouble=Trouble.DANGLING, detail=HOSTILE, next_command=("conveyor", HOSTILE))
    app = board_app(hostile, troubled, waiting("j", verdict=judged, **common))
    address = "/request/%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E%26%27%7B%7B7%2A7%7D%7D%3D1%2B1/"
    for path in ("/", "/?view=judged", "/?view=operator", f"/?text={address}", "/request/t/", "/request/j/", address):
        page = ask(app, path).body.decode()
        assert "<script>" not in page
        assert "49" not in page.replace("&#34;", "")
        assert page.count("<script") == 1
    assert address[1:] in ask(app, "/").body.decode()


def test_a_name_that_is_no_utf_8_has_a_page() -> None:
    """Its address has the bytes, and the page a sign in their place."""
    app = board_app(waiting("tmp\udcff"))
    assert b"request/tmp%FF/" in ask(app, "/").body
    assert "tmp\ufffd" in ask(app, "/request/tmp%FF/").body.decode()


def test_text_is_shown_as_it_is_written() -> None:
    """Signs that turn the text behind them round, or that nobody sees, are replaced; line breaks of notes stay."""
    shown = board_pages._shown("tmp\u202egnp.exe\u2066 a\x1b[2J\nb\u200b観測 \udcff")  # noqa: SLF001 - every value goes through it
    assert shown == "tmp\ufffdgnp.exe\ufffd a\ufffd[2J\nb\ufffd観測 \ufffd"
    page = ask(board_app(waiting("tmp\u202eabc", project="\u202e13B")), "/").body.decode()
    assert "\u202e" not in page
    assert "request/tmp%E2%80%AEabc/" in page


def test_no_page_asks_another_host_or_runs_what_is_in_it() -> None:
    """The policy allows the board's own files, and images of the weblogs; there is no inline script or style."""
    answer = ask(board_app(waiting("r")), "/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "img-src 'self' http://testserver:8087/;" in policy
    assert b"style=" not in answer.body
    assert b"onclick" not in answer.body
    for name in ("board.css", "board.js", "board.svg"):
        found = ask(board_app(), f"/{name}")
        assert found.status == 200
        assert b"http://" not in found.body.replace(b"http://www.w3.org/2000/svg", b"")
        assert b"https://" not in found.body


def test_nothing_can_be_changed() -> None:
    """Every method but looking is refused."""
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert ask(board_app(waiting("r")), "/request/r/", method=method).status == 405


@pytest.mark.parametrize(
    "path", ["/x", "/request/", "/request/none/", "/request/r", "/request/r/x", "/../x", "/static/../x"]
)
def test_what_is_not_there(path: str) -> None:
    """An address of nothing is answered by a page that says so."""
    assert ask(board_app(waiting("r")), path).status == 404


def test_only_names_of_the_server_are_answered() -> None:
    """A page of another name, led here by its own DNS, gets nothing, whatever it asks for."""
    for host in (
        "evil.example",
        "evil.example:8086",
        "localhost.evil.example",
        "",
        "localhost:x",
        "localhost, evil.example",
    ):
        assert ask(board_app(waiting("r")), "/", host=host).status == 421
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:8086", "localhost."):
        assert ask(board_app(waiting("r")), "/", host=host).status == 200


def test_a_page_that_a_browser_has_is_not_sent_again() -> None:
    """While nothing has changed, its tag is answered by nothing."""
    app = board_app(waiting("r"))
    first = ask(app, "/")
    assert ask(app, "/", if_none_match=first.headers["etag"]).status == 304


def _sign_in(app: Dispatch, **fields: str) -> Answer:
    return ask(app, "/sign-in", method="POST", body=urlencode(fields).encode())


def test_the_token_lets_in() -> None:
    """Nobody sees anything without it; the form, and a program's header, let in; the cookie is not the token."""
    token, app = TOKEN.decode(), board_app(waiting("tmpabc"), access=Access(HOSTS, TOKEN))
    refused = ask(app, "/request/tmpabc/?x=1")
    assert refused.status == 401
    assert b"13B-014" not in refused.body
    assert b'value="request/tmpabc/?x=1"' in refused.body
    assert ask(app, "/", authorization=f"Bearer {token}").status == 200
    assert ask(app, f"/?token={token}").status == 401
    assert _sign_in(app, token="wrong").status == 401
    assert _sign_in(app, token="x" * 10_000).status == 401
    assert ask(app, "/sign-in", method="POST", body=b"a=1&" * 1000).status == 401
    done = _sign_in(app, token=token, to="request/tmpabc/")
    assert (done.status, done.headers["location"]) == (303, "./request/tmpabc/")
    cookie = done.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert token not in cookie
    assert ask(app, "/", cookie=cookie.partition(";")[0]).status == 200
    assert ask(app, "/", cookie=f"{COOKIE}={token}").status == 401


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "\\\\evil.example", "javascript:alert(1)"])
def test_signing_in_leads_nowhere_else(to: str) -> None:
    """Whatever the address was said to be, the board is where one is then."""
    app = board_app(access=Access(HOSTS, TOKEN))
    assert _sign_in(app, token=TOKEN.decode(), to=to).headers["location"].startswith("./")
    assert ask(app, "//evil.example/").body.count(b'value="evil.example/"') == 1


def test_a_proxy_says_who_reads() -> None:
    """The header counts from the proxy's address alone, once, and not if it is empty."""
    proxied = Access(HOSTS, user_header="x-remote-user", proxies=(ip_network("127.0.0.1"),))
    elsewhere = Access(HOSTS, user_header="x-remote-user", proxies=(ip_network("10.0.0.0/8"),))
    assert ask(board_app(waiting("r"), access=proxied), "/", x_remote_user="da02").status == 200
    assert ask(board_app(waiting("r"), access=proxied), "/").status == 403
    assert ask(board_app(waiting("r"), access=proxied), "/", x_remote_user=" ").status == 403
    assert ask(board_app(waiting("r"), access=elsewhere), "/", x_remote_user="da02").status == 403
    assert (
        ask(board_app(waiting("r"), access=elsewhere), "/", x_remote_user="da02", x_forwarded_for="10.0.0.1").status
        == 403
    )


@pytest.mark.parametrize(
    "options",
    [
        {"address": "0.0.0.0"},
        {"address": "10.0.0.1"},
        {"address": "::"},
        {"user_header": "x-user"},
        {"proxies": ("10.0.0.1",)},
        {"user_header": "x-user", "proxies": ("10.0.0.1/8",)},
    ],
)
def test_a_board_that_would_let_in_everybody_does_not_start(options: dict[str, object]) -> None:
    """Elsewhere than on the loopback something has to say who may read, and a proxy is named by its address."""
    with pytest.raises(ConfigurationError):
        make_access(ServerOptions(**options))  # type: ignore[arg-type]


def test_names_of_the_server_come_from_its_options() -> None:
    """The address, the names that are given, and those of the addresses behind a proxy."""
    assert make_access(ServerOptions()).hosts == {"localhost", "127.0.0.1", "[::1]"}
    options = ServerOptions(url="https://QA.example/board/", weblog_url="https://weblogs.example/", hosts=("qa",))
    assert {"qa.example", "weblogs.example", "qa"} < make_access(options).hosts


def test_a_token_that_others_know_is_refused(tmp_path: Path) -> None:
    """A file that others may read, or a word that can be guessed, is no token."""
    file = tmp_path / "token"
    file.write_bytes(TOKEN + b"\n")
    file.chmod(0o644)
    with pytest.raises(NotPermittedError):
        read_token(file)
    file.chmod(0o600)
    assert read_token(file) == TOKEN
    file.write_text("secret")
    with pytest.raises(ConfigurationError):
        read_token(file)
    with pytest.raises(ConveyorError):
        read_token(tmp_path / "missing")


def test_a_table_for_a_spreadsheet_has_no_formulas() -> None:
    """A value that a spreadsheet would run has an apostrophe before it; quotes and line breaks are those of CSV."""
    names = ("=cmd|' /C calc'!A0", "＝1+1", "a;=1+1;b")
    rows = view_of(*(waiting(name, project="+1", data_sets=('a"b\n,c',)) for name in names)).all(Choice(View.WAITING))
    told = list(csv.reader(io.StringIO(requests_csv(rows).decode(), newline="")))
    assert told[1][:3] == ["'=cmd|' /C calc'!A0", "'+1", 'a"b\n,c']
    assert told[3][0] == "'＝1+1"
    # With semicolons between its values a spreadsheet divides none that is in quotes.
    assert "a;=1+1;b" in next(csv.reader(requests_csv(rows).decode().splitlines()[3:], delimiter=";"))[0]
    assert ask(board_app(waiting("r")), "/requests.csv").headers["content-type"] == "text/csv; charset=utf-8"


@pytest.mark.parametrize(
    "broken", ["<![bogus x]>", "<!", "<img ", '<img src="', "<img src='http://[x/y.png'>", "<a b='"]
)
def test_a_front_page_that_is_no_html_hides_no_request(broken: str) -> None:
    """Whatever a weblog's front page has before its images, however often, they are found and nothing fails."""
    page = broken * (100_000 // len(broken)) + '> <img alt="a &amp; b" src="p/one%20.png"><IMG src=../x.gif>'
    page += '<img src="../../out.png"><img src="//evil.example/x.png"><img src="x.html"><img src=/root.png>'
    assert images_of(page, "pipeline/html/index.html") == [
        ("pipeline/html/p/one .png", "a & b"),
        ("pipeline/x.gif", "x.gif"),
        ("out.png", "out.png"),
    ]


def test_the_history_has_a_line_a_run() -> None:
    """A run that ended is one line, one that did not is said to have begun; steps are those of old releases alone."""
    common = {"time": TIME, "host": "nmpost007", "account": "da02", "command": "deliver", "pid": 1, "version": "1"}
    common |= {"capability": "calibration"}
    lines = [
        {**common, "step": "open-qa-folder", "subject": "", "outcome": "done"},
        {**common, "run": "1", "event": "begin"},
        {**common, "run": "1", "step": "open-qa-folder", "subject": "", "outcome": "done"},
        {
            **common,
            "run": "1",
            "event": "end",
            "outcome": "done",
            "way": ["copy"],
            "bytes": 2_000_000,
            "seconds": 130.0,
        },
        {**common, "run": "2", "event": "begin"},
    ]
    content = "\n".join(map(json.dumps, lines)).encode() + b'\n{"half'
    told = [(one.outcome, one.detail, one.who) for one in history_entries(content)]
    who = "da02 on nmpost007"
    assert told == [("begun", "", who), ("done", "copy; 2 MB copied; 2 min", who), ("done", "open-qa-folder", who)]


class _Looks:
    """A look at the workspace that is counted, takes until it is let go, and may fail."""

    def __init__(self) -> None:
        self.count = 0
        self.failure: Exception | None = None
        self.gate = asyncio.Event()

    async def __call__(self) -> BoardView:
        self.count += 1
        await self.gate.wait()
        if self.failure:
            raise self.failure
        return view_of(waiting(f"r{self.count}"))


def test_one_look_serves_all_readers_and_the_old_view_stands_meanwhile() -> None:
    """Fifty readers cause one look; a later one waits for nobody; one that fails is said, and the last view stays."""

    async def readers() -> None:
        looks, time = _Looks(), [0.0]
        shared = SharedOverview(looks, 5.0, lambda: time[0])
        asked = [asyncio.create_task(shared.view()) for _ in range(50)]
        await asyncio.sleep(0)
        looks.gate.set()
        views = await asyncio.gather(*asked)
        assert (looks.count, len({id(view) for view in views})) == (1, 1)
        time[0], looks.failure = 6.0, IoFailedError("the server is gone")
        looks.gate.clear()
        assert await shared.view() is views[0]
        looks.gate.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert (await shared.view(), shared.trouble, looks.count) == (views[0], "the server is gone", 2)
        time[0], looks.failure = 20.0, None
        await shared.view()
        for _ in range(5):
            await asyncio.sleep(0)
        assert (shared.trouble, looks.count) == (None, 3)
        looks.gate.clear()
        time[0] = 30.0
        await shared.view()
        told = [shared.trouble]
        time[0] += 130
        told.append(shared.trouble)
        assert told == [None, "the workspace has not answered for 2 min"]
        looks.gate.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert (shared.trouble, looks.count) == (None, 4)

    asyncio.run(readers())


def test_a_workspace_that_cannot_be_looked_at_is_said() -> None:
    """Where there never was a view, the page says why."""

    async def fails() -> BoardView:
        raise ConfigurationError("the spool root is not there")

    answer = ask(dispatch(SharedOverview(fails)), "/")
    assert answer.status == 503
    assert b"the spool root is not there" in answer.body


def test_ten_thousand_requests_are_searched() -> None:
    """A search goes through all of them."""
    page = ask(board_app(*everything(2_000)), "/?text=tmp01001xyz").body
    assert page.count(b'class="request"') == 1
