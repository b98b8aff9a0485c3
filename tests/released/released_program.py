"""Runs the released program as often as it is asked to, and lets a run die at the call that a test names.

A process of its own, since the tests' own process has the program of today: its one argument is the folder that the
released sources were unpacked in. It forks a child for each run; ``test_released.py`` talks to it, a line of JSON each way.
The released program is named by strings, so that it keeps its names whatever is renamed in the program of today.
"""

from __future__ import annotations

import errno
import json
import os
import pkgutil
import sys
from fnmatch import fnmatchcase
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: The calls that a run can die at, beside those that create a file, exchange two names or commit a manifest.
_CALLS = ("link", "mkdir", "rename", "rmdir", "symlink", "unlink", "utime")
#: The released program's own constants that make a short copy do what a long one does.
_AS_IN_HOURS = (
    ("engine.progress", "_WRITTEN_EVERY", 0.0),
    ("filesystem.copying.crew", "_PROGRESS", 0.0),
    ("filesystem.copying.manifest", "_SETTINGS", "PRAGMA synchronous = EXTRA; PRAGMA cache_size = 1;"),
)


def serve(sources: str) -> None:
    sys.path.insert(0, sources)
    conveyor = import_module("conveyor")
    assert str(conveyor.__file__).startswith(f"{sources}/"), f"this is not the released program: {conveyor.__file__}"
    for module in pkgutil.walk_packages(conveyor.__path__, "conveyor."):  # once, and not in each run
        if module.name != "conveyor.__main__":
            import_module(module.name)
    for line in sys.stdin:
        request = json.loads(line)
        gone, alive = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(gone)
            _become_the_program(**request)
        os.close(alive)
        _, status = os.waitpid(child, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            code = -os.WSTOPSIG(status)
        else:
            code = os.waitstatus_to_exitcode(status)
            os.read(gone, 1)  # nothing, as soon as the processes that the run has forked are gone as well
        os.close(gone)
        sys.stdout.write(json.dumps({"pid": child, "status": code}) + "\n")
        sys.stdout.flush()


def _become_the_program(
    arguments: list[str], output: str, *, exchange: bool, long: bool, point: str, number: int
) -> NoReturn:
    os.setsid()
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    _wait_for(point, number, exchange=exchange)
    if long:
        _work_as_on_a_long_copy()
    sys.argv = ["conveyor", *arguments]
    try:
        import_module("conveyor.cli.main").run()
    except SystemExit as ending:
        os._exit(int(ending.code or 0))
    os._exit(1)


def _wait_for(point: str, number: int, *, exchange: bool) -> None:
    """Send a signal to the run and all that it forks at a pattern such as ``before rename .READY.new READY``.

    A line is made of ``before`` or ``after``, the call, and its arguments that are names. Unless it may ``exchange`` names,
    each try is answered with EINVAL, as on Lustre.
    """

    def caught(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            line = " ".join((name, *(one for one in arguments if isinstance(one, str))))
            come_by(f"before {line}")
            answer = real(*arguments, **options)
            come_by(f"after {line}")
            return answer

        return call

    def come_by(line: str) -> None:
        if fnmatchcase(line, point):
            os.killpg(0, number)

    def refused(*_: Any) -> NoReturn:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    for name in _CALLS:
        setattr(os, name, caught(name, getattr(os, name)))
    just_open, creating = os.open, caught("create", os.open)
    os.open = lambda path, flags, *rest, **options: (creating if flags & os.O_CREAT else just_open)(
        path, flags, *rest, **options
    )
    syscalls = import_module("conveyor.filesystem.syscalls")
    _set_defaults(
        import_module("conveyor.filesystem.posix").PosixFileSystem,
        exchange=caught("exchange", syscalls.exchange if exchange else refused),
        pause=lambda _: None,  # nobody reads meanwhile
    )
    manifest = import_module("conveyor.filesystem.copying.manifest").Manifest
    commit = manifest.commit
    commit_copied, commit_proven = caught("commit copied", commit), caught("commit proven", commit)

    def commit_told(self: Any, *, whole: bool) -> None:
        """Tell the empty manifest, the first commit after the copy, and that of the whole verified copy apart."""
        (commit_proven if whole else commit_copied if self.is_new else commit)(self, whole=whole)

    manifest.commit = commit_told


def _work_as_on_a_long_copy() -> None:
    """Do with few files what takes many, or hours.

    That is: worker processes, a file that tells the progress, a manifest of which SQLite writes a part before it commits.
    """
    _set_defaults(import_module("conveyor.filesystem.copying.values").Options, workers=2, alone=0)
    for module, name, value in _AS_IN_HOURS:
        setattr(import_module(f"conveyor.{module}"), name, value)


def _set_defaults(kind: Any, **defaults: object) -> None:
    """Give a class's parameters other defaults; those without one come first."""
    function = kind.__init__
    names = function.__code__.co_varnames[1 : function.__code__.co_argcount]
    known: Iterable[object] = function.__defaults__
    function.__defaults__ = tuple((dict(zip(names, known, strict=True)) | defaults).values())


if __name__ == "__main__":
    serve(sys.argv[1])
