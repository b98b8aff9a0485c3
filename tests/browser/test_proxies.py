"""The board behind real proxies, by the examples that the documentation shows, as they stand."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import conveyor
from browser.conftest import free_port, served
from conveyor.board.shared_overview import look
from conveyor.board.static_pages import write_board
from support.workspace import HTML

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.workspace import Workspace

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
_MODULES = "mpm_event authn_core authn_file authz_core authz_user auth_basic headers proxy proxy_http ssl socache_shmcb"
_SECONDS = 30.0


def _nginx(folder: Path, example: str, port: int) -> list[str]:
    (folder / "board.conf").write_text(example.replace("listen 443", f"listen 127.0.0.1:{port}"))
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"{'user root;' if os.geteuid() == 0 else ''} daemon off; pid {folder}/pid; error_log {folder}/errors;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary} include {folder}/board.conf; }}\n"
    )
    return ["nginx", "-p", str(folder), "-e", f"{folder}/errors", "-c", f"{folder}/nginx.conf"]


def _apache(folder: Path, example: str, port: int) -> list[str]:
    modules = "\n".join(f"LoadModule {one}_module /usr/lib/apache2/modules/mod_{one}.so" for one in _MODULES.split())
    account = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
    files = f"PidFile {folder}/pid\nErrorLog {folder}/errors\n"
    head = f"{modules}\n{account}ServerName localhost\nListen 127.0.0.1:{port}\n{files}"
    (folder / "apache.conf").write_text(head + example.replace("*:443", f"127.0.0.1:{port}"))
    return ["apache2", "-DFOREGROUND", "-d", str(folder), "-f", f"{folder}/apache.conf"]


@pytest.fixture(params=["nginx", "apache"])
def proxy(request: pytest.FixtureRequest, public_workspace: Workspace) -> Iterator[int]:
    """A board behind a real proxy; the port of the proxy."""
    program = {"nginx": "nginx", "apache": "apache2"}[request.param]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    conveyor.deliver(public_workspace.metadata).raise_for_error()
    folder, port, weblog_port = public_workspace.root.parent / "proxy", free_port(), free_port()
    _make_secrets(folder)
    options = ["--user-header", "X-Remote-User", "--proxy", "127.0.0.1"]
    options += ["--url", "https://qa.example.org/", "--weblog-url", "https://weblogs.example.org/"]
    with served(public_workspace.root, *options, weblog_port=weblog_port) as url:
        own = url.rpartition(":")[2].rstrip("/")
        example = (EXAMPLES / f"board-{request.param}.conf").read_text()
        example = (
            example.replace(":8086", f":{own}").replace(":8087", f":{weblog_port}").replace("/etc/ssl", str(folder))
        )
        command = (_nginx if request.param == "nginx" else _apache)(folder, example, port)
        with _running(command, folder, port):
            yield port


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    """A web server, from its first connection on."""
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        try:
            _wait_for(port, folder)
            yield
        finally:
            running.terminate()


def _make_secrets(folder: Path) -> None:
    """Make a folder with a key, a certificate and a user, as the examples want them."""
    folder.mkdir()
    key, certificate, users = (str(folder / f"board.{suffix}") for suffix in ("key", "pem", "htpasswd"))
    subject = ["-subj", "/CN=qa.example.org", "-addext", "subjectAltName=DNS:qa.example.org,DNS:weblogs.example.org"]
    request_for = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        key,
        "-out",
        certificate,
        *subject,
    ]
    subprocess.run(request_for, check=True, capture_output=True)
    hashed = subprocess.run(["openssl", "passwd", "-apr1", "secret"], check=True, capture_output=True, text=True).stdout
    Path(users).write_text(f"da02:{hashed}")


@pytest.fixture
def static(public_workspace: Workspace) -> Iterator[int]:
    """The board as files behind nginx; its port."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    conveyor.deliver(public_workspace.metadata).raise_for_error()
    cache = public_workspace.weblog
    (cache / HTML / "casa.log").write_text("a log\n")
    (cache / HTML / "plots.pdf").write_bytes(b"%PDF-1.4\n")
    (cache / HTML / "stage1" / "inside.html").symlink_to("../index.html")
    (cache / HTML / "out.html").symlink_to("/etc/passwd")
    if os.geteuid() == 0:
        os.chown(cache / HTML / "out.html", 65_534, 65_534, follow_symlinks=False)
    top, port = public_workspace.root.parent, free_port()
    config = conveyor.load_config({"spool_root": public_workspace.spool.parent})
    write_board(look(config), top / "board", "/weblogs/")
    _make_secrets(top / "proxy")
    example = (EXAMPLES / "board-static-nginx.conf").read_text()
    for said, here in (
        ("/etc/ssl", top / "proxy"),
        ("/var/www/board", top / "board"),
        ("/lustre/workspaces/weblog-cache", cache.parent),
    ):
        example = example.replace(said, str(here))
    with _running(_nginx(top / "proxy", example, port), top / "proxy", port):
        yield port


def _wait_for(port: int, folder: Path) -> None:
    end = time.monotonic() + _SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            errors = folder / "errors"
            assert time.monotonic() < end, errors.read_text() if errors.exists() else "it does not answer"
            time.sleep(0.1)


def _get(port: int, host: str, path: str, *headers: str) -> tuple[int, str]:
    """The status and the whole text of an answer; certificates are the test's own."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", ""]
        secure.sendall("\r\n".join(lines).encode())
        text = b"".join(iter(lambda: secure.recv(65_536), b"")).decode()
    return int(text.split(" ", 2)[1]), text


def test_a_proxy_lets_in_and_weblogs_have_their_own_name(proxy: int) -> None:
    """Who signs in at the proxy sees the board; a header of the browser's own counts for nothing; no path leads out."""
    signed_in = f"Authorization: Basic {b64encode(b'da02:secret').decode()}"
    assert _get(proxy, "qa.example.org", "/")[0] == 401
    assert _get(proxy, "qa.example.org", "/", "X-Remote-User: da02")[0] == 401
    status, page = _get(proxy, "qa.example.org", "/", signed_in, "X-Remote-User: somebody")
    assert (status, "tmpiox5trbp" in page) == (200, True)
    address = page.partition('href="https://weblogs.example.org')[2].partition('"')[0]
    status, weblog = _get(proxy, "weblogs.example.org", address, "Cookie: conveyor-board=secret")
    assert (status, "observation overview" in weblog, "sandbox allow-scripts" in weblog) == (200, True, True)
    ticket = address.split("/")[1]
    for path in ("%2e%2e/%2e%2e/spool/tmpiox5trbp/metadata.json", "..%2f..%2fspool", ".conveyor.json", ""):
        assert _get(proxy, "weblogs.example.org", f"/{ticket}/tmpiox5trbp/x/{path}")[0] in (400, 404)
    assert _get(proxy, "weblogs.example.org", "/request/tmpiox5trbp/", signed_in)[0] == 404


def test_static_pages_behind_nginx_have_the_policies_of_the_board(static: int) -> None:
    """The example of the documentation, as it stands: pages and weblogs have their policies, and no path leads out."""
    name, signed_in = "tmpiox5trbp", f"Authorization: Basic {b64encode(b'da02:secret').decode()}"

    def get(path: str, *headers: str) -> tuple[int, str]:
        status, text = _get(static, "qa.example.org", path, signed_in, *headers)
        head, _, body = text.partition("\r\n\r\n")
        return status, f"{head.lower()}\r\n\r\n{body}"

    assert _get(static, "qa.example.org", "/")[0] == 401
    for path in ("/", f"/request/{name}/"):
        status, page = get(path)
        assert (status, name in page) == (200, True)
        assert "content-security-policy: default-src 'none'" in page
        assert "x-content-type-options: nosniff" in page
    address = page.partition('href="/weblogs/')[2].partition('"')[0]
    status, weblog = get(f"/weblogs/{address}")
    assert (status, "observation overview" in weblog) == (200, True)
    for header in ("content-security-policy: sandbox allow-scripts", "x-content-type-options: nosniff"):
        assert header in weblog
    assert "access-control-allow-origin: *" in weblog
    log, plots = get(f"/weblogs/{name}/{HTML}/casa.log"), get(f"/weblogs/{name}/{HTML}/plots.pdf")
    assert "content-type: text/plain; charset=utf-8" in log[1]
    assert (plots[0], "content-type: application/pdf" in plots[1], "sandbox" in plots[1]) == (200, True, False)
    part = get(f"/weblogs/{name}/{HTML}/casa.log", "Range: bytes=2-4")
    assert (part[0], part[1].endswith("log"), "sandbox" in part[1]) == (206, True, True)
    assert get(f"/weblogs/{name}/{HTML}/stage1/inside.html")[0] == 200
    for path in ("../spool/x", "%2e%2e/spool/x", "..%2fspool", f"{name}/.conveyor.json", f"{name}/{HTML}/stage1/", ""):
        assert get(f"/weblogs/{path}")[0] in (400, 403, 404), path
    for path in ("/weblogs../spool/", f"/weblogs/{name}/{HTML}/out.html", f"/weblogs/{name}/"):
        status, text = get(path)
        assert (status in (403, 404), "root:" in text) == (True, False), path
