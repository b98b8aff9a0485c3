"""The declaration of a capability: a small frozen value. Adding a capability is writing one of these."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import ClassVar

from conveyor.capabilities.hook import Hook
from conveyor.capabilities.marker import READY_DOCUMENT, Marker
from conveyor.errors import ConfigurationError
from conveyor.layout import DIRECTORY_NAME_LIMIT, reserved_names
from conveyor.values import frozen

#: A table of the configuration file is read by pydantic as what it describes: it may have no other keys.
_READING = {"extra": "forbid", "arbitrary_types_allowed": True}
#: The weblog tars that CASA's pipeline exports: ``weblog.tgz``, ``<ous>[.<recipe>].weblog.tgz``, and their kin.
WEBLOG_PATTERNS = ("*weblog.tgz", "*weblog.tar.gz", "*weblog.tar")

_ARCHIVE = re.compile(r"weblog.*\.(tgz|tar|txz|tbz2?|tzst|zip|7z)(\.\w+)?$", re.IGNORECASE)


def _sequence(values: object, what: str, kind: type) -> None:
    """Refuse a single value where several belong: Python takes a string for a sequence of its letters."""
    if not isinstance(values, tuple | list):
        raise ConfigurationError(f"{what} must be a tuple, not {values!r}: is a comma missing, as in ({values!r},)?")
    for value in values:
        if not isinstance(value, kind):
            raise ConfigurationError(f"{what} must each be a {kind.__name__}, not {value!r}")


@frozen
class Directory:
    """A directory that is conveyed; one that is not ``required`` may be missing."""

    __pydantic_config__: ClassVar = _READING
    name: str
    required: bool = True

    def __post_init__(self) -> None:
        _plain_name(self.name, "a directory's name")
        if self.name in reserved_names():
            raise ConfigurationError(f"a capability cannot convey {self.name!r}: the name is Conveyor's own")
        if len(self.name.encode("utf-8", "surrogateescape")) > DIRECTORY_NAME_LIMIT:
            raise ConfigurationError(
                f"a directory's name must have at most {DIRECTORY_NAME_LIMIT} bytes, unlike {self.name!r}"
            )


@frozen
class Weblog:
    """The rule that finds a capability's weblog: the directory to look in, and patterns of its name.

    ``required`` refuses a delivery without one; otherwise there is a warning. ``keep_after_qa_fail`` says whether the
    cached weblog outlives a failed QA.
    """

    __pydantic_config__: ClassVar = _READING
    directory: str = "products"
    patterns: tuple[str, ...] = WEBLOG_PATTERNS
    required: bool = False
    keep_after_qa_fail: bool = True

    def __post_init__(self) -> None:
        _sequence(self.patterns, "the patterns of a weblog", str)

    def matches(self, name: str) -> bool:
        """Tell whether a file is a weblog tar by its name. Hidden files are not: a Mac leaves ``._weblog.tgz`` beside it."""
        return not name.startswith(".") and any(fnmatchcase(name, pattern) for pattern in self.patterns)

    def resembles(self, name: str) -> bool:
        """Tell whether a file that is none by its name could be meant as a weblog tar: ``weblog.tar.xz``, ``WEBLOG.TGZ``."""
        return not self.matches(name) and not name.startswith(".") and _ARCHIVE.search(name) is not None


@frozen
class Capability:
    """A strategy: the directories that are conveyed, to which QA area, for which workflows.

    ``workflows`` are workflow names, or patterns with ``*`` and ``?``; an exact name goes before a pattern.
    ``qa_area`` is a directory's name below the QA root, and ``marker`` the document that says there that a delivery is
    complete. ``weblog`` is None if there is none to cache. ``before_delivery`` and ``after_retrieval`` are steps of the
    capability's own.
    """

    __pydantic_config__: ClassVar = _READING
    name: str
    workflows: tuple[str, ...]
    qa_area: str
    directories: tuple[Directory, ...]
    weblog: Weblog | None = Weblog()
    marker: Marker = READY_DOCUMENT
    before_delivery: tuple[Hook, ...] = ()
    after_retrieval: tuple[Hook, ...] = ()

    def __post_init__(self) -> None:
        _plain_name(self.name, "a capability's name")
        _sequence(self.workflows, f"the workflows of {self.name!r}", str)
        _sequence(self.directories, f"the directories of {self.name!r}", Directory)
        _sequence(self.before_delivery, f"the steps of {self.name!r} before a delivery", Hook)
        _sequence(self.after_retrieval, f"the steps of {self.name!r} after a retrieval", Hook)
        _plain_name(self.qa_area, f"the QA area of {self.name!r}")
        _plain_name(self.marker.name, f"the marker of {self.name!r}")
        for hook in (*self.before_delivery, *self.after_retrieval):
            _plain_name(hook.name, f"a step of {self.name!r}")
        names = [directory.name for directory in self.directories]
        for name in reserved_names(self.marker.name).intersection(names):
            raise ConfigurationError(f"a capability cannot convey {name!r}: the name is Conveyor's own")
        if not names:
            raise ConfigurationError(f"the capability {self.name!r} has no directories to convey")
        if len(set(names)) != len(names):
            raise ConfigurationError(f"the capability {self.name!r} names a directory twice: {', '.join(names)}")
        if self.weblog is not None and self.weblog.directory not in names:
            raise ConfigurationError(
                f"the capability {self.name!r} looks for its weblog in {self.weblog.directory!r}, "
                f"which is not one of its directories: {', '.join(names)}"
            )

    def claim(self, workflow: str) -> int:
        """Return the strength of this capability's claim on a workflow: 2 by its name, 1 by a pattern, 0 for none."""
        if workflow in self.workflows:
            return 2
        return int(any(fnmatchcase(workflow, pattern) for pattern in self.workflows))


def _plain_name(name: str, what: str) -> None:
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise ConfigurationError(f"{what} must be one plain name, not {name!r}")
