"""The mail that a notice becomes: names and reasons that came from outside cannot add to its headers."""

from __future__ import annotations

from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conveyor.documents.outbox_documents import Notice

_SUBJECT = 200  # characters


def addressed(notice: Notice, sender: str, receivers: Sequence[str]) -> EmailMessage:
    """Return the mail. Its Message-ID is made of the notice's key, so that a repeated one is known."""
    message = EmailMessage(policy=SMTP)
    message["Subject"] = one_line(notice["subject"])[:_SUBJECT]
    message["From"] = sender
    message["To"] = ", ".join(receivers)
    message["Date"] = format_datetime(datetime.fromisoformat(notice["time"]))
    message["Message-ID"] = f"<{notice['key']}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody answers that he is on leave
    message["X-Conveyor-Event"] = notice["event"]
    message["X-Conveyor-Request"] = one_line(notice["request"])[:_SUBJECT]
    message.set_content(_readable(notice["text"]) + "\n", cte="quoted-printable")
    return message


def one_line(text: str) -> str:
    """Return a text as a header may have it: a line break or another control character in it is shown as its escape."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in _readable(text))


def _readable(text: str) -> str:
    """Return a text as UTF-8 can hold it: bytes of a name that are none are shown as their escapes (PEP 383)."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
