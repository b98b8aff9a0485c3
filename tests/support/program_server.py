"""Starts the real program as often as it is asked to, without the fifth of a second that Python's own start takes.

A process of its own, which has imported all of Conveyor and forks a child for each run. The child is the program from its
entry point to its exit status; ``program.py`` talks to this process, a line of JSON each way.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import json
import os
import pkgutil
import platform
import signal
import struct
import sys
from typing import Any, NoReturn

import structlog  # noqa: F401 - imported once here, not in each run that logs a line

import conveyor
from conveyor.filesystem import in_use

# renameat2's number; see seccomp(2) for the rest.
_RENAMEAT2 = {"x86_64": 316, "aarch64": 276}
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_PR_SET_PTRACER, _ANYBODY = 0x59616D61, ctypes.c_ulong(-1)
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL_WITH = 0x7FFF0000, 0x00050000
_NUMBER_AT, _FLAGS_AT = 0, 16 + 4 * 8


def serve() -> None:
    for module in pkgutil.walk_packages(conveyor.__path__, "conveyor."):
        if module.name != "conveyor.__main__":
            importlib.import_module(module.name)
    # The last two by one that has a configuration file.
    for name in (*_imported_by_a_run(), "encodings.utf_8_sig", "tomllib"):
        importlib.import_module(name)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    requests = os.fdopen(0, "rb", buffering=0, closefd=False)
    while line := requests.readline():
        request = json.loads(line)
        if request["do"] == "start":
            reading, ready = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(reading)
                _become_the_program(request, ready)
            os.close(ready)
            os.read(reading, 1)  # nothing, when the child has closed its end
            os.close(reading)
            _answer({"pid": child})
        else:
            _, status = os.waitpid(request["pid"], 0)
            _answer({"status": os.waitstatus_to_exitcode(status)})


def _imported_by_a_run() -> list[str]:
    """What a conveyance imports on its way, so that the runs to come make the same calls every time."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        _run(["demo"])
        _run(["deliver", "-c", "calibration", "no such file"])
        os.write(writing, json.dumps([name for name in sys.modules if name != "__main__"]).encode())
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as answer:
        names: list[str] = json.loads(answer.read())
    os.waitpid(child, 0)
    return names


def _answer(answer: dict[str, Any]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def _become_the_program(request: dict[str, Any], ready: int) -> NoReturn:
    os.setsid()
    for descriptor, path in enumerate((os.devnull, request["out"], request["err"])):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    if request["account"] is not None:
        os.setgroups([])
        os.setgid(request["account"])
        os.setuid(request["account"])
    if request["refuse_exchange"]:
        _refuse_exchange()
    if request["held"]:  # where Yama lets processes trace their own children only, strace is let in all the same
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYBODY, 0, 0, 0)
    os.close(ready)
    if request["held"]:  # what else runs on this host must not be among the calls that are counted
        in_use.PROC = "/proc/self/no other process"
        signal.sigwait({signal.SIGUSR1})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    # Taking down an interpreter of this size takes three times as long as a run.
    os._exit(_run(request["arguments"]))


def _run(arguments: list[str]) -> int:
    sys.argv = ["conveyor", *arguments]
    from conveyor.cli.main import run

    try:
        run()
    except SystemExit as ending:
        return int(ending.code or 0)


def _refuse_exchange() -> None:
    """Let the kernel answer EINVAL to every renameat2 with flags, as it does on Lustre; to tracers too it is the kernel."""
    program = b"".join(
        struct.pack("HBBI", code, jump_true, jump_false, value)
        for code, jump_true, jump_false, value in (
            (_LOAD, 0, 0, _NUMBER_AT),
            (_JUMP_IF_EQUAL, 0, 3, _RENAMEAT2[platform.machine()]),
            (_LOAD, 0, 0, _FLAGS_AT),
            (_JUMP_IF_EQUAL, 1, 0, 0),
            (_RETURN, 0, 0, _FAIL_WITH | errno.EINVAL),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    code = ctypes.create_string_buffer(program)
    table = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, table, 0, 0) == 0, os.strerror(ctypes.get_errno())


if __name__ == "__main__":
    serve()
