"""The receivers of notices: who is told of which events, and in which way."""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PositiveInt

from conveyor.values import frozen

#: An event that a notice tells of; *Notices* in the reference says when each comes.
Event = Literal["ready", "judged", "home", "failed", "stalled"]
EVENTS: tuple[Event, ...] = get_args(Event)

_SECRET = re.compile(r"(env|file):(.+)", re.DOTALL)
_ADDRESS = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)


def _reference(value: str) -> str:
    """Let through what says where a secret is; a secret itself is refused, since settings are printed and handed on."""
    found = _SECRET.fullmatch(value)
    if found is None:
        raise ValueError("must say where the secret is: 'env:VARIABLE' or 'file:/path'")
    if found[1] == "env" and found[2].startswith("CONVEYOR_"):
        raise ValueError("must name a variable that does not begin with CONVEYOR_, as settings do")
    if found[1] == "file" and not found[2].startswith("/"):
        raise ValueError("must name the file by an absolute path")
    return value


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError("must be a mail address such as qa@example.org")
    return value


def _url(value: str) -> str:
    """Let through an address, or what says where it is: those of many chat programs are secrets themselves."""
    if re.fullmatch(r"https?://[^@\s]+@.*", value):
        raise ValueError("must not have a password in it")
    if not re.fullmatch(r"https?://[!-~]+", value) and not _SECRET.fullmatch(value):
        raise ValueError("must be an address that begins with https:// or http://, or 'env:VARIABLE' or 'file:/path'")
    return _reference(value) if _SECRET.fullmatch(value) else value


def _one_or_more(value: Any) -> Any:
    """Return a single text as a list of one."""
    return [value] if isinstance(value, str) else value


def _words(value: Any) -> Any:
    """Return a command line as its words, as a shell would split it."""
    return shlex.split(value) if isinstance(value, str) else value


Secret = Annotated[str, AfterValidator(_reference)]
Address = Annotated[str, AfterValidator(_address)]


@frozen
class Receiver:
    """Who is told: exactly one of ``command``, ``webhook`` and ``mail`` says in which way.

    ``secret`` says where the key is that a webhook is signed with.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    on: Annotated[tuple[Event, ...], BeforeValidator(_one_or_more), Field(min_length=1)] = EVENTS
    command: Annotated[tuple[str, ...], BeforeValidator(_words)] = ()
    webhook: Annotated[str, AfterValidator(_url)] | None = None
    secret: Secret | None = None
    mail: Annotated[tuple[Address, ...], BeforeValidator(_one_or_more)] = ()
    max_per_minute: PositiveInt = 20

    def __post_init__(self) -> None:
        ways = [bool(self.command), self.webhook is not None, bool(self.mail)]
        if sum(ways) != 1:
            raise ValueError("must have exactly one of command, webhook and mail")
        if self.secret and self.webhook is None:
            raise ValueError("must not have a secret without a webhook")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("must be called by letters, digits, '-' and '_', at most 64")
    return value


#: The receivers by their names.
Receivers = dict[Annotated[str, AfterValidator(_name)], Receiver]
