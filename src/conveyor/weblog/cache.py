"""The weblog cache: a folder a request, with the tar, its unpacked tree and a receipt, put in place by one rename."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.documents import WeblogReceipt, dump, load
from conveyor.errors import ConflictError
from conveyor.filesystem.error_context import ExchangeRefusedError, error_context
from conveyor.filesystem.posix import Entry, Kind
from conveyor.filesystem.treecopy.copy_options import PathAt
from conveyor.layout import WEBLOG_RECEIPT, temporary_name, weblog_staged
from conveyor.weblog.reader import Limits, Nobody, Sink, Weight, read_weblog
from conveyor.weblog.writer import TreeWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

    from conveyor.filesystem.files import OpenFile
    from conveyor.filesystem.posix import DirFd, FileSystem
    from conveyor.request.places import Places

_STRETCH = 8 << 20  # bytes of the tar's copy that the disk is given together
_MOST = 1 << 20  # bytes of a receipt


@dataclass(frozen=True)
class Cached:
    """What caching came to. ``changed`` is False where the same tar was there already."""

    changed: bool
    weight: Weight


@dataclass(frozen=True)
class CacheSurvey:
    """What the cache has for one request: a weblog that Conveyor ``cached``, or what is none (``blocked``); and whether
    an interrupted run ``left`` something that nobody needs."""

    cached: bool = False
    blocked: bool = False
    left: bool = False


def survey_cache(fs: FileSystem, places: Places) -> CacheSurvey:
    """Look at the cache, which may not be there yet. Raises :class:`OSError` where it cannot be read."""
    try:
        cache = fs.open_root(places.weblog_cache)
    except FileNotFoundError:
        return CacheSurvey()
    with cache:
        entry, receipt = fs.lstat(cache, places.request), None
        if entry is not None and entry.kind is Kind.DIRECTORY:
            with fs.open_directory(cache, places.request) as folder:
                receipt = fs.lstat(folder, WEBLOG_RECEIPT)
        cached = receipt is not None and receipt.kind is Kind.FILE
        left = any(fs.lstat(cache, name) is not None for name in weblog_staged(places.request))
        return CacheSurvey(cached, entry is not None and not cached, left)


class WeblogCache:
    """The cached weblog of one request."""

    def __init__(self, fs: FileSystem, places: Places, limits: Limits) -> None:
        self._fs = fs
        self._places = places
        self._limits = limits
        self._name = places.request
        self._temporary, self._replaced = weblog_staged(places.request)

    @property
    def path(self) -> Path:
        return self._places.weblog

    def check(self, folder: DirFd, name: str) -> Weight:
        """Read a weblog tar as unpacking it would, writing nothing; raises what unpacking would raise."""
        with self._fs.open_file(folder, name) as tar:
            return self._read(tar, folder.path / name, Nobody())

    def store(self, folder: DirFd, name: str) -> Cached:
        """Cache a weblog tar and its tree, unless the same tar, by digest, is there with its tree already.

        Raises a weblog error where the tar cannot be unpacked; then the cache is as it was.
        """
        with error_context("stat", self._places.weblog_cache):
            there = self._places.weblog_cache.is_dir()
        if not there:
            self.check(folder, name)  # so that a refused tar does not leave even an empty cache
        with self._open_cache() as cache, self._fs.open_file(folder, name) as tar:
            self._sweep(cache)
            receipt = self._receipt(cache)
            if receipt is not None and receipt["tar"] == name:
                if receipt["sha256"] == hashlib.file_digest(tar, "sha256").hexdigest():
                    return Cached(changed=False, weight=Weight(receipt["bytes"], receipt["members"], receipt["sha256"]))
                tar.seek(0)
            before = self._fs.lstat(cache, ".")
            try:
                weight = self._build(cache, tar, folder.path / name)
                self._put_in_place(cache)
            except BaseException:
                with contextlib.suppress(OSError):
                    self._sweep(cache)
                    if before:  # the cache is as it was, its time too
                        self._fs.utime(cache, ".", before.modified)
                raise
            self._fs.fsync(cache)
            self._sweep(cache)
        return Cached(changed=True, weight=weight)

    def forget(self) -> bool:
        """Remove the cached weblog; True if there was one. Raises ConflictError where it is not this request's."""
        with self._open_cache() as cache:
            self._sweep(cache)
            if self._fs.lstat(cache, self._name) is None:
                return False
            self._receipt(cache)  # raises where it is not ours
            self._fs.rename(cache, self._name, cache, self._temporary)
            self._sweep(cache)
        return True

    def tidy(self) -> bool:
        """Remove what an interrupted run left; True if there was anything."""
        if not survey_cache(self._fs, self._places).left:
            return False
        with self._open_cache() as cache:
            self._sweep(cache)
        return True

    @contextlib.contextmanager
    def _open_cache(self) -> Iterator[DirFd]:
        """Open the weblog cache, which Conveyor makes where it is missing (its parent has to be there)."""
        where = self._places.weblog_cache
        made = False
        with self._fs.open_root(where.parent) as parent:
            with contextlib.suppress(FileExistsError):
                self._fs.mkdir(parent, where.name)
                made = True
            try:
                with self._fs.open_root(where) as cache:
                    yield cache
            except BaseException:
                if made:
                    with contextlib.suppress(OSError):  # in use by now
                        self._fs.rmdir(parent, where.name)
                raise

    def _sweep(self, cache: DirFd) -> None:
        """Remove what this run, or one that crashed, does not need any more; what was to be replaced, but was not, stays."""
        replaced = self._fs.lstat(cache, self._replaced)
        if self._fs.lstat(cache, self._name) is None and replaced is not None and replaced.kind is Kind.DIRECTORY:
            self._fs.rename(cache, self._replaced, cache, self._name)
        for name in (self._temporary, self._replaced):
            match self._fs.lstat(cache, name):
                case None:
                    pass
                case Entry(kind=Kind.DIRECTORY):
                    from conveyor.filesystem.treecopy.remove_tree import remove_tree

                    remove_tree(PathAt(cache, name))
                case _:  # somebody's link or file
                    self._fs.unlink(cache, name)

    def _receipt(self, cache: DirFd) -> WeblogReceipt | None:
        entry = self._fs.lstat(cache, self._name)
        if entry is None:
            return None
        if entry.kind is not Kind.DIRECTORY:
            raise ConflictError(f"{self.path} is a {entry.kind}, where the cached weblog has to be")
        with self._fs.open_directory(cache, self._name) as folder:
            if self._fs.lstat(folder, WEBLOG_RECEIPT) is None:
                raise ConflictError(f"{self.path} is there already, and is no weblog that Conveyor cached")
            try:
                receipt = load(WeblogReceipt, self._fs.read(folder, WEBLOG_RECEIPT, limit=_MOST))
            except ValueError:
                return None
        if self._is_another(receipt["spool"]):
            raise ConflictError(f"{self.path} is the weblog of another request of that name: {receipt['spool']}")
        return receipt

    def _is_another(self, spool: str) -> bool:
        """Whether a weblog was cached for another request: one in another spool area, which is still there."""
        if spool == str(self._places.spool):
            return False
        try:
            with error_context("stat", Path(spool)):
                return Path(spool).is_dir() and not Path(spool).samefile(self._places.spool)
        except ValueError:
            return False

    def _build(self, cache: DirFd, tar: BufferedReader, source: Path) -> Weight:
        self._fs.mkdir(cache, self._temporary)
        with self._fs.open_directory(cache, self._temporary) as root:
            writer = TreeWriter(self._fs, root)
            try:
                with self._fs.create_file(root, source.name) as copy:
                    weight = self._read(tar, source, writer, copy)
            finally:
                writer.close()
            receipt = WeblogReceipt(
                schema="conveyor-weblog/1",
                tar=source.name,
                sha256=weight.digest,
                bytes=weight.bytes,
                members=weight.members,
                spool=str(self._places.spool),
            )
            self._fs.write(root, WEBLOG_RECEIPT, dump(receipt))
            self._fs.syncfs(root)
        return weight

    def _read(self, tar: BufferedReader, source: Path, sink: Sink, copy: OpenFile | None = None) -> Weight:
        size = tar.seek(0, 2)
        tar.seek(0)
        # The tar and our receipt stand beside the tree, so no member may have their names.
        reserved = frozenset({WEBLOG_RECEIPT, temporary_name(WEBLOG_RECEIPT), source.name})
        return read_weblog(_Copied(tar, copy) if copy else tar, size, str(source), self._limits, sink, reserved)

    def _put_in_place(self, cache: DirFd) -> None:
        if self._fs.lstat(cache, self._name) is None:
            self._fs.rename(cache, self._temporary, cache, self._name)
            return
        try:
            self._fs.exchange(cache, self._temporary, cache, self._name)
        except ExchangeRefusedError:
            self._fs.rename(cache, self._name, cache, self._replaced)
            self._fs.rename(cache, self._temporary, cache, self._name)


class _Copied:
    """A tar of which all that is read goes to a copy, so that it is read once. The disk writes it while the tree is made."""

    def __init__(self, tar: BufferedReader, copy: OpenFile) -> None:
        self._tar = tar
        self._copy = copy
        self._waiting = 0

    def read(self, size: int, /) -> bytes:
        data = self._tar.read(size)
        self._waiting += self._copy.write(data)
        if self._waiting >= _STRETCH:
            self._copy.begin_flush()
            self._waiting = 0
        return data
