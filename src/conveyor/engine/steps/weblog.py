"""The steps that cache a request's weblog, and remove it from the cache."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from conveyor.capabilities.hook import StepResult
from conveyor.engine.steps.base import EngineStep, Run
from conveyor.filesystem.posix import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.filesystem.posix import DirFd


class CacheWeblog(EngineStep):
    """The subject is the tar, ``<directory>/<name>``."""

    name = "cache-weblog"
    text = "cache and unpack the weblog {subject}"

    def rehearse(self, run: Run) -> str:
        with self._source(run) as (directory, name):
            run.weblogs.check(directory, name)
        return ""

    def perform(self, run: Run) -> StepResult:
        with self._source(run) as (directory, name):
            cached = run.weblogs.store(directory, name)
        run.weblog_cached = True
        run.weblog_page = run.weblogs.path / cached.totals.page if cached.totals.page is not None else None
        what = f"{cached.totals.members} members, {cached.totals.bytes} bytes in {run.weblogs.path}"
        return StepResult(cached.changed, what if cached.changed else f"cached already: {what}")

    @contextlib.contextmanager
    def _source(self, run: Run) -> Iterator[tuple[DirFd, str]]:
        """The directory that the tar is in, wherever that is now, and the tar's name."""
        directory, _, name = self.subject.partition("/")
        # A link in the place of the directory is not followed: its data is at the other end then.
        endpoints = run.endpoints
        end = endpoints.spool if endpoints.spool.kind(directory) is Kind.DIRECTORY else endpoints.qa
        with run.fs.open_directory(end.root, directory) as opened:
            yield opened, name


class RemoveCachedWeblog(EngineStep):
    """After a failed QA, if the capability says so."""

    name = "forget-weblog"
    text = "remove the cached weblog"

    def perform(self, run: Run) -> StepResult:
        return StepResult(run.weblogs.remove())
