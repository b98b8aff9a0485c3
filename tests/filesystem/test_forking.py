"""Processes that help: how they are waited for."""

from __future__ import annotations

import os
import signal

import pytest

from conveyor.filesystem import forking


@pytest.mark.parametrize("heard", [signal.SIG_DFL, signal.SIG_IGN], ids=["heard of", "ignored"])
def test_a_process_is_waited_for(heard: signal.Handlers) -> None:
    """What ended by itself and what is ended are gone afterwards, also where a program ignores that its children end."""
    before = signal.signal(signal.SIGCHLD, heard)
    try:
        pid, channel = forking.start(lambda end: end.send("here"))
        assert channel.receive() == "here"
        assert forking.wait(pid) == (0 if heard is signal.SIG_DFL else None)
        channel.close()
        pid, channel = forking.start(lambda end: end.receive())
        forking.end(pid)
        channel.close()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        pid, channel = forking.start(lambda _: os._exit(3))
        expected = "ended with 3" if heard is signal.SIG_DFL else "ended"
        assert forking.died_error(pid, "that copied").message == f"a process that copied {expected}"
        channel.close()
    finally:
        signal.signal(signal.SIGCHLD, before)
