"""Receivers of notices in the settings: what is refused, and that no secret is ever shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import conveyor
from conveyor.errors import ConfigurationError
from conveyor.settings.receivers import EVENTS
from conveyor.settings.sources import read_secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def _load(receiver: Mapping[str, Any], **others: Any) -> conveyor.Config:
    return conveyor.load_config({"receivers": {"one": receiver}, **others}, environment={})


def test_a_receiver_may_be_written_the_short_way() -> None:
    """A single address, event or command line stands for a list of it; without events, all are meant."""
    receiver = _load({"mail": "qa@example.org", "on": "ready"}).values.receivers["one"]
    assert (receiver.mail, receiver.on) == (("qa@example.org",), ("ready",))
    receiver = _load({"command": "page --team 'the pipeline'"}).values.receivers["one"]
    assert (receiver.command, receiver.on) == (("page", "--team", "the pipeline"), EVENTS)


@pytest.mark.parametrize(
    ("receiver", "problem"),
    [
        ({}, "must have exactly one of command, webhook and mail"),
        ({"command": "true", "mail": "qa@example.org"}, "must have exactly one of command, webhook and mail"),
        ({"command": "true", "secret": "env:X"}, "must not have a secret without a webhook"),
        ({"command": "true", "on": []}, "receivers.one.on"),
        ({"command": "true", "on": ["redy"]}, "must be one of 'ready'"),
        ({"command": "true", "sercet": "hunter2"}, "receivers.one.sercet (from flag) is wrong: is not known"),
        ({"mail": "qa@example.org\nBcc: evil@example.org"}, "must be a mail address"),
        ({"webhook": "ftp://example.org"}, "must be an address that begins with https://"),
        ({"webhook": "https://user:hunter2@example.org"}, "must not have a password in it"),
        ({"webhook": "https://example.org", "secret": "hunter2"}, "must say where the secret is"),
        ({"webhook": "https://example.org", "secret": "env:CONVEYOR_X"}, "does not begin with CONVEYOR_"),
        ({"webhook": "https://example.org", "secret": "file:x"}, "must name the file by an absolute path"),
        ({"webhook": "https://example.org", "secret": 271828}, "must be text in quotes"),
    ],
)
def test_a_receiver_that_cannot_work_is_refused_without_its_secrets(receiver: dict[str, Any], problem: str) -> None:
    """The message says what is wrong, and repeats nothing that may be a secret."""
    with pytest.raises(ConfigurationError) as refused:
        _load(receiver)
    assert problem in refused.value.message
    assert "hunter2" not in refused.value.message
    assert "271828" not in refused.value.message


def test_a_password_in_the_settings_is_refused_and_not_repeated() -> None:
    """The password of the mail server is named by its place only."""
    with pytest.raises(ConfigurationError, match="must say where the secret is") as refused:
        _load({"command": "true"}, smtp_password="hunter2")
    assert "hunter2" not in refused.value.message


@pytest.mark.parametrize("name", ["", "a.b", "a/b", "ä", "x" * 65])
def test_a_receiver_has_a_name_that_a_file_may_have(name: str) -> None:
    """The name of a receiver is part of a file's name."""
    with pytest.raises(ConfigurationError, match="must be called by letters"):
        conveyor.load_config({"receivers": {name: {"command": "true"}}}, environment={})


@pytest.mark.parametrize("server", ["localhost", "mail.example.org:2525", "[::1]", "[::1]:25"])
def test_a_mail_server_may_have_a_port(server: str) -> None:
    """A host, with a port or without one, is taken; anything else is refused."""
    assert conveyor.load_config({"smtp_server": server}, environment={}).values.smtp_server == server
    with pytest.raises(ConfigurationError, match="must be the name of a host"):
        conveyor.load_config({"smtp_server": f"{server}\r\nX"}, environment={})


def test_a_secret_is_read_where_the_setting_says(tmp_path: Path) -> None:
    """A file or a variable has it, without the line break at its end; where there is none, that is an error."""
    (tmp_path / "secret").write_text("open sesame\n")
    assert read_secret(f"file:{tmp_path / 'secret'}") == "open sesame"
    assert read_secret("env:X", {"X": "open sesame"}) == "open sesame"
    with pytest.raises(ValueError, match="there is no secret in env:X"):
        read_secret("env:X", {})
