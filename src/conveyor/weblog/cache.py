"""The weblog cache: a directory a request, with the tar, its unpacked tree and a receipt, put in place by one rename."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.documents.codec import dump
from conveyor.documents.kept_documents import WeblogReceipt
from conveyor.errors import ConflictError
from conveyor.filesystem.error_context import ExchangeRefusedError, error_context
from conveyor.filesystem.posix import Entry, Kind
from conveyor.filesystem.treecopy.copy_options import PathAt
from conveyor.layout import WEBLOG_RECEIPT, temporary_name, weblog_staged
from conveyor.values import frozen
from conveyor.weblog.cache_look import inspect_cache, is_whole, read_receipt, walk
from conveyor.weblog.reader import NullSink, Sink, WeblogTotals, read_weblog
from conveyor.weblog.source import CopyingTar, SourceTar, open_tar
from conveyor.weblog.writer import TreeWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.filesystem.files import OpenFile
    from conveyor.filesystem.posix import DirFd, FileSystem
    from conveyor.request.places import Places
    from conveyor.weblog.limits import Limits


@frozen
class CacheResult:
    """Result of caching a weblog; ``changed`` is False if the same tar was cached already."""

    changed: bool
    totals: WeblogTotals


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
        """The request's directory in the cache."""
        return self._places.weblog

    def check(self, directory: DirFd, name: str) -> WeblogTotals:
        """Read a weblog tar as unpacking it would, writing nothing; raises what unpacking would raise."""
        with open_tar(self._fs, directory, name) as tar:
            return self._read(tar, NullSink())

    def store(self, directory: DirFd, name: str) -> CacheResult:
        """Cache a weblog tar and its tree, unless the same tar, by digest, is cached with its tree already.

        Raises what :func:`~conveyor.weblog.reader.read_weblog` raises for the tar, and
        :class:`~conveyor.errors.ConflictError` if something else has its place; then the cache is as it was.
        """
        with self._open_cache() as cache, open_tar(self._fs, directory, name) as tar:
            self._remove_leftovers(cache)
            receipt = self._receipt(cache)
            if receipt is not None and self._is_cached(cache, receipt, tar):
                return CacheResult(changed=False, totals=_totals(receipt))
            before = self._fs.lstat(cache, ".")
            try:
                totals = self._build(cache, tar)
                self._put_in_place(cache)
            except BaseException:
                with contextlib.suppress(OSError):
                    self._remove_leftovers(cache)
                    if before:  # the cache is as it was, its time too
                        self._fs.set_directory_time(cache, before.modified)
                raise
            self._fs.fsync(cache)
            self._remove_leftovers(cache)
        return CacheResult(changed=True, totals=totals)

    def _is_cached(self, cache: DirFd, receipt: WeblogReceipt, tar: SourceTar) -> bool:
        """Tell whether the tar is the one that was cached, and its tree is whole; the oldest receipts cannot prove that."""
        if receipt["tar"] != tar.name or "entries" not in receipt:
            return False
        with self._fs.open_directory(cache, self._name) as directory:
            copy = self._fs.lstat(directory, tar.name)
        if copy is None or copy.size != tar.size:  # the tree of another tar need not be gone through
            return False
        self._let_read(cache)
        with self._fs.open_directory(cache, self._name) as directory:
            whole = is_whole(self._fs, directory, receipt, thorough=True)
        return whole and tar.is_that_of(receipt)

    def _let_read(self, cache: DirFd) -> None:
        """Let those read the cached weblog who may read the request; an earlier run may have had another umask."""
        like = self._like()
        with contextlib.suppress(PermissionError), self._fs.open_directory(cache, self._name) as directory:
            self._fs.let_read(cache, self._name, like)
            for folder, name, entry in walk(self._fs, directory):
                if entry.kind in (Kind.FILE, Kind.DIRECTORY):
                    self._fs.let_read(folder, name, like)

    def _like(self) -> int:
        """Return the mode of the request's directory: who may read that may read its weblog."""
        with contextlib.suppress(OSError), self._fs.open_root(self._places.spool) as spool:
            entry = self._fs.lstat(spool, ".")
            return entry.mode if entry else 0
        return 0

    def remove(self) -> bool:
        """Remove the cached weblog; True if there was one.

        Raises :class:`~conveyor.errors.ConflictError` if it is not this request's.
        """
        with self._open_cache() as cache:
            self._remove_leftovers(cache)
            if self._fs.lstat(cache, self._name) is None:
                return False
            self._receipt(cache)  # raises if it is not ours
            self._fs.rename(cache, self._name, cache, self._temporary)
            self._remove_leftovers(cache)
        return True

    def clean_up(self) -> bool:
        """Remove the leftovers of an interrupted run; True if there were any."""
        if not inspect_cache(self._fs, self._places).has_leftovers:
            return False
        with self._open_cache() as cache:
            self._remove_leftovers(cache)
        return True

    @contextlib.contextmanager
    def _open_cache(self) -> Iterator[DirFd]:
        """Open the weblog cache; make it if it is missing. Its parent has to exist."""
        where = self._places.weblog_cache
        made = False
        with self._fs.open_root(where.parent) as parent:
            before = self._fs.lstat(parent, ".")
            with contextlib.suppress(FileExistsError):
                self._fs.mkdir(parent, where.name)
                made = True
                self._fs.let_read(parent, where.name, self._like())
            try:
                with self._fs.open_root(where) as cache:
                    yield cache
            except BaseException:
                if made:
                    with contextlib.suppress(OSError):  # in use by now
                        self._fs.rmdir(parent, where.name)
                        if before:  # a refused tar leaves no trace
                            self._fs.set_directory_time(parent, before.modified)
                raise

    def _remove_leftovers(self, cache: DirFd) -> None:
        """Remove the leftovers of this run or one that crashed; put back a weblog that was moved away and not replaced."""
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
        with self._fs.open_directory(cache, self._name) as directory:
            if self._fs.lstat(directory, WEBLOG_RECEIPT) is None:
                raise ConflictError(f"{self.path} is there already, and is no weblog that Conveyor cached")
            receipt = read_receipt(self._fs, directory)
        if receipt is None:
            return None
        if self._is_another(receipt["spool"]):
            raise ConflictError(f"{self.path} is the weblog of another request of that name: {receipt['spool']}")
        return receipt

    def _is_another(self, spool: str) -> bool:
        """Return True if the receipt's ``spool`` is another request's directory, of another spool area, that exists."""
        if spool == str(self._places.spool):
            return False
        try:
            with error_context("stat", Path(spool)):
                return Path(spool).is_dir() and not Path(spool).samefile(self._places.spool)
        except ValueError:
            return False

    def _build(self, cache: DirFd, tar: SourceTar) -> WeblogTotals:
        like = self._like()
        self._fs.mkdir(cache, self._temporary)
        with self._fs.open_directory(cache, self._temporary) as root:
            writer = TreeWriter(self._fs, root, like)
            try:
                with self._fs.create_file(root, tar.name) as copy:
                    totals = self._read(tar, writer, None if tar.clone_to(copy) else copy)
            finally:
                writer.close()
            receipt = WeblogReceipt(
                schema="conveyor-weblog/1",
                tar=tar.name,
                digest=totals.digest,
                bytes=totals.bytes,
                members=totals.members,
                spool=str(self._places.spool),
                entries=totals.entries,
                page=totals.page,
            )
            self._fs.write(root, WEBLOG_RECEIPT, dump(receipt))
            for name in (tar.name, WEBLOG_RECEIPT, "."):
                self._fs.let_read(root, name, like)
            self._fs.syncfs(root)
        return totals

    def _read(self, tar: SourceTar, sink: Sink, copy: OpenFile | None = None) -> WeblogTotals:
        tar.file.seek(0)
        # The tar and our receipt stand beside the tree, so no member may have their names.
        reserved = frozenset({WEBLOG_RECEIPT, temporary_name(WEBLOG_RECEIPT), tar.name})
        content = CopyingTar(tar.file, copy) if copy else tar.file
        with tar.read_with_care():
            return read_weblog(content, tar.size, str(tar.path), self._limits, sink, reserved)

    def _put_in_place(self, cache: DirFd) -> None:
        if self._fs.lstat(cache, self._name) is None:
            self._fs.rename(cache, self._temporary, cache, self._name)
            return
        try:
            self._fs.exchange(cache, self._temporary, cache, self._name)
        except ExchangeRefusedError:
            self._fs.rename(cache, self._name, cache, self._replaced)
            self._fs.rename(cache, self._temporary, cache, self._name)


def _totals(receipt: WeblogReceipt) -> WeblogTotals:
    digest, entries, page = receipt.get("digest", ""), receipt.get("entries", 0), receipt.get("page")
    return WeblogTotals(receipt["bytes"], receipt["members"], digest, entries, page)
