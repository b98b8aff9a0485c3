"""The ways in which a receiver is told: a command, a webhook, a mail. Each tries once, and waits for a bounded time."""

from __future__ import annotations

import json
import smtplib
import ssl
import subprocess
import time
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from conveyor._version import __version__
from conveyor.engine.host import Host
from conveyor.filesystem.process_group import run_bounded
from conveyor.notices.mail import addressed, one_line
from conveyor.notices.signature import signature_headers
from conveyor.settings.sources import read_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conveyor.documents.outbox_documents import Notice
    from conveyor.settings.model import Settings
    from conveyor.settings.receivers import Receiver

TIMEOUT = 20.0  # seconds without a byte from a server
COMMAND_TIMEOUT = 60.0  # seconds
_PORTS = {"none": 25, "starttls": 587, "tls": 465}
_ANSWER = 200  # characters of a refusal that are repeated


class NotSentError(Exception):
    """A notice was not sent. ``unreachable`` says that no other would be: the receiver is down, or set up wrongly."""

    def __init__(self, message: str, *, unreachable: bool = False) -> None:
        super().__init__(message)
        self.unreachable = unreachable


def send(notice: Notice, receiver: Receiver, settings: Settings) -> str | None:
    """Tell a receiver; returns what is worth noting of a success. Raises :class:`NotSentError`."""
    if receiver.mail:
        return _mail(notice, receiver, settings)
    if receiver.webhook is not None:
        _post(notice, receiver)
    else:
        _run(notice, receiver.command)
    return None


def _run(notice: Notice, command: tuple[str, ...]) -> None:
    try:
        status = run_bounded(command, _json(notice), COMMAND_TIMEOUT)
    except OSError as error:
        raise NotSentError(f"{command[0]}: {error.strerror or error}", unreachable=True) from None
    except subprocess.TimeoutExpired:
        raise NotSentError(f"{command[0]} took longer than {COMMAND_TIMEOUT:.0f} s", unreachable=True) from None
    if status:
        raise NotSentError(f"{command[0]} ended with {status}")


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirection: that of a POST would lose its body."""

    def redirect_request(self, *_: object) -> None:
        return None


def _post(notice: Notice, receiver: Receiver) -> None:
    body = _json(notice)
    try:
        secret = read_secret(receiver.secret) if receiver.secret else None
        headers = signature_headers(notice["key"], int(time.time()), body, secret)
        headers |= {"content-type": "application/json", "user-agent": f"conveyor/{__version__}"}
        request = Request(_address(receiver), body, headers)
        with build_opener(_NoRedirect).open(request, timeout=TIMEOUT):
            return
    except HTTPError as error:
        with error:
            raise NotSentError(f"the webhook answered {error.code} {_text(error.reason)}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise NotSentError(f"the webhook cannot be reached: {_reason(error)}", unreachable=True) from None


def _mail(notice: Notice, receiver: Receiver, settings: Settings) -> str | None:
    sender = settings.mail_from or f"conveyor@{Host().this_process().host}"
    message = addressed(notice, sender, receiver.mail)
    try:
        with _connection(settings) as server:
            if settings.smtp_user is not None:
                server.login(settings.smtp_user, read_secret(settings.smtp_password or ""))
            refused = server.send_message(message, sender, receiver.mail)
    except smtplib.SMTPRecipientsRefused as error:
        raise NotSentError(f"the mail server refuses every receiver: {_refusals(error.recipients)}") from None
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        raise NotSentError(f"the mail server refuses it: {_reason(error)}") from None
    except (OSError, ValueError) as error:
        raise NotSentError(f"the mail server {settings.smtp_server}: {_reason(error)}", unreachable=True) from None
    return f"not to {_refusals(refused)}" if refused else None


def _connection(settings: Settings) -> smtplib.SMTP:
    """Connect to the mail server as the settings say. Raises :class:`OSError`, as all of smtplib does."""
    host, _, port = settings.smtp_server.rpartition(":")
    if not port.isdecimal():
        host, port = settings.smtp_server, str(_PORTS[settings.smtp_security])
    host, context = host.strip("[]"), ssl.create_default_context()
    if settings.smtp_security == "tls":
        return smtplib.SMTP_SSL(host, int(port), timeout=TIMEOUT, context=context)
    server = smtplib.SMTP(host, int(port), timeout=TIMEOUT)
    if settings.smtp_security == "starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def _address(receiver: Receiver) -> str:
    """Return the address of a webhook, wherever it is kept. Raises :class:`ValueError` if that is none of HTTP."""
    address = read_secret(receiver.webhook or "")
    if not address.startswith(("https://", "http://")):
        raise ValueError("its address begins neither with https:// nor with http://")
    return address


def _json(notice: Notice) -> bytes:
    return json.dumps(notice).encode()


def _refusals(refused: Mapping[str, tuple[int, bytes | str]]) -> str:
    return ", ".join(f"{address} ({code} {_text(answer)})" for address, (code, answer) in refused.items())


def _reason(error: Exception) -> str:
    """Return why a server could not be reached, in one short line: servers may say anything."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    reason = getattr(error, "reason", None) or error
    return _text(getattr(reason, "strerror", None) or str(reason) or type(reason).__name__)


def _text(answer: bytes | str) -> str:
    text = answer.decode("utf-8", "backslashreplace") if isinstance(answer, bytes) else answer
    return one_line(text)[:_ANSWER]
