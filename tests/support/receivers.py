"""Real receivers of notices on loopback: a mail server that can refuse and hang, and settings that name it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

import conveyor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

    from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    """What a mail server took (``mails``); ``answer`` is what it says to a mail, None to say nothing for long."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.accounts: list[str] = []
        self.answer: str | None = "250 taken"
        self.unknown: set[str] = set()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a receiver, unless nobody is called so."""
        if address in self.unknown:
            return "550 nobody is called so"
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Answer to a mail."""
        if self.answer is None:
            await asyncio.sleep(30)
            return "421 too late"
        if self.answer.startswith("2"):
            assert isinstance(envelope.content, bytes)
            self.mails.append(message_from_bytes(envelope.content, policy=default))
        return self.answer


@contextmanager
def mail_server(mailbox: Mailbox, *, password: bytes | None = None) -> Iterator[str]:
    """Run a mail server on the mailbox's port, and return its ``host:port``; without a password it asks for none."""

    def check(server: object, session: object, envelope: object, mechanism: str, data: Any) -> AuthResult:
        mailbox.accounts.append(data.login.decode())
        return AuthResult(success=data.password == password, handled=False)

    wants: dict[str, Any] = {"authenticator": check, "auth_require_tls": False} if password is not None else {}
    controller = Controller(mailbox, "127.0.0.1", mailbox.port, **wants)
    controller.start()
    try:
        yield f"127.0.0.1:{mailbox.port}"
    finally:
        controller.stop()


def settings_for(area: Path, receivers: dict[str, dict[str, Any]], **others: Any) -> conveyor.Config:
    """Settings with receivers, for a spool area."""
    return conveyor.load_config({"spool_root": str(area), "receivers": receivers, **others}, environment={})
