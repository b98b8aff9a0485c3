"""The manifest: a small database beside the request that proves what was copied, and from what.

It may lie on Lustre or NFS, so that no lock of the file system is relied on: the claim on the request keeps others away, and
one process alone writes. What was committed is durable; a torn transaction is rolled back when it is next opened. A manifest
that is damaged in any other way is as good as none: all of it is checked when it is opened, and nothing of it is believed if
one byte is wrong.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from conveyor.errors import ManifestUnknownError
from conveyor.filesystem.error_context import error_context
from conveyor.filesystem.posix import place_of
from conveyor.filesystem.treecopy import digest
from conveyor.filesystem.treecopy.messages import ChunkTask, DirTask, LargeFileTask
from conveyor.filesystem.treecopy.records import (
    DIR_RECORD,
    DamagedError,
    check,
    directory_key,
    unpack,
    unpack_dir_record,
)
from conveyor.layout import JOURNAL, MANIFEST, MANIFEST_DRAFT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.filesystem.treecopy.copy_options import PathAt
    from conveyor.filesystem.treecopy.messages import BlockDigests, ManifestUpdate, Task
    from conveyor.filesystem.treecopy.records import Record

_FORMATS = "conveyor-manifest/"
_FORMAT = f"{_FORMATS}1"
# The format of a manifest with clones in it: a release that knows only the first would take them for damaged files.
_FORMAT_WITH_CLONES = f"{_FORMATS}2"
_FIRST_DIGEST = "xxh3-128"  # of manifests that name none
# EXTRA, not FULL: a journal whose removal a power cut takes back would take back what was committed. The cache has 2 MB,
# enough for the keys: each row is used once.
_SETTINGS = "PRAGMA synchronous = EXTRA; PRAGMA cache_size = -2000;"
_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE parts (folder BLOB, part INTEGER, records BLOB, PRIMARY KEY (folder, part));
CREATE TABLE blocks (folder BLOB, name BLOB, identity BLOB, digests BLOB, PRIMARY KEY (folder, name));
"""
_OF_DIRECTORY = DIR_RECORD, 0  # the chunks that a directory's task is prepared with
# SQLite's errors for a file that is not what it wrote; any other is an error of the disk, or of the server.
_DAMAGED = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


class ManifestReader:
    """Reads a manifest to which nothing is written meanwhile, in any process: each that asks has a connection of its own.

    Raises :class:`OSError` with its path if it cannot be read.
    """

    def __init__(self, place: PathAt) -> None:
        self._place = place
        self._process = 0
        self._connection: sqlite3.Connection | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The database; a forked process must not use that of another."""
        if self._connection is None or self._process != os.getpid():
            self._process, self._connection = os.getpid(), _connect(self._place, "&mode=ro&immutable=1")
            self._connection.execute("PRAGMA cache_size = -1000")
        return self._connection

    def close(self) -> None:
        """Close the connection of this process."""
        if self._connection is not None:
            self._connection.close()

    def prepare(self, task: Task) -> Task:
        """The task with what the manifest says of its subject: of a copy that is gone, if the target is new."""
        match task:
            case DirTask(target_is_new=True) | ChunkTask(target_is_new=True):
                return task
            case DirTask():
                chunks = self._chunks(task.path, *_OF_DIRECTORY)
                return DirTask(task.path, task.target_is_new, chunks.get(DIR_RECORD, b""), chunks.get(0, b""))
            case ChunkTask():
                return task._replace(recorded=self._chunk(task.path, task.chunk))
            case LargeFileTask():
                return task._replace(recorded=self._blocks(task.path, task.name, task.identity))
        return task

    def dir_record(self, path: str) -> Record | None:
        """A directory's own record."""
        return unpack_dir_record(self._chunk(path, DIR_RECORD))

    def records(self, path: str) -> dict[str, Record] | None:
        """The records of a directory's entries by name; None if it was not copied. Raises :class:`DamagedError`."""
        own = self.dir_record(path)
        if own is None:
            return None
        chunks = self._chunks(path, 0, own.size - 1)
        return {name: record for chunk in chunks.values() for name, record in unpack(chunk).items()}

    @property
    def is_believable(self) -> bool:
        """Tell whether it is of a complete copy, in a format that is known; its records are checked when they are read."""
        with self.error_context():
            return self._fact("whole") == 1 and self._fact("format") in (_FORMAT, _FORMAT_WITH_CLONES)

    def _fact(self, name: str) -> object:
        row = self.connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def _chunk(self, path: str, chunk: int) -> bytes:
        return self._chunks(path, chunk, chunk).get(chunk, b"")

    def _chunks(self, path: str, first: int, last: int) -> dict[int, bytes]:
        """The segments of some chunks of a directory, by their numbers."""
        query = "SELECT part, records FROM parts WHERE folder = ? AND part BETWEEN ? AND ?"
        try:
            return dict(self.connection.execute(query, (directory_key(path), first, last)).fetchall())
        except sqlite3.Error as error:
            raise _manifest_error(error, self._place) from error

    def _blocks(self, path: str, name: str, identity: bytes) -> bytes:
        """The digests of the first blocks of a large file of this identity that were copied."""
        query = "SELECT digests FROM blocks WHERE folder = ? AND name = ? AND identity = ?"
        with self.error_context():
            row = self.connection.execute(query, (directory_key(path), os.fsencode(name), identity)).fetchone()
        return row[0] if row else b""

    @contextlib.contextmanager
    def error_context(self) -> Iterator[None]:
        """Put the manifest's path into an error of the database."""
        try:
            yield
        except sqlite3.Error as error:
            raise _manifest_error(error, self._place) from error


class Manifest(ManifestReader):
    """An open manifest. Raises :class:`OSError` with its path if it cannot be read or written.

    ``connection`` is the database itself. ``is_new``: nothing was in it when it was opened. Its tables say *folder* for
    directory, and *part* for chunk.
    """

    def __init__(self, place: PathAt, connection: sqlite3.Connection) -> None:
        super().__init__(place)
        self._connection = connection
        self.is_new = False
        self._may_have_clones = False

    @property
    def connection(self) -> sqlite3.Connection:
        """The database, for the process that opened it."""
        assert self._connection is not None
        return self._connection

    @classmethod
    def open(cls, place: PathAt) -> Manifest | None:
        """The manifest that is there, if every byte of it is right; None if there is none, or none that can be believed.

        Raises :class:`ManifestUnknownError` if another release wrote it in another format, or with another hash.
        """
        with error_context("stat", place.path):
            try:
                status = os.stat(place.name, dir_fd=place.directory.descriptor, follow_symlinks=False)
            except FileNotFoundError:
                return None
        if not stat.S_ISREG(status.st_mode):
            return None
        manifest = cls(place, _connect(place))
        with contextlib.ExitStack() as stack:
            stack.push(manifest)
            try:
                manifest._check()
            except DamagedError:
                return None
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode & 0xFF in _DAMAGED:
                    return None
                raise _manifest_error(error, place) from error
            stack.pop_all()
            return manifest

    @classmethod
    def open_complete(cls, place: PathAt) -> Manifest | None:
        """The same, None also if it is not of a complete verified copy."""
        manifest = cls.open(place)
        if manifest is not None and not manifest.complete:
            manifest.close()
            return None
        return manifest

    @classmethod
    def create(cls, place: PathAt, block: int) -> Manifest:
        """A new manifest, for hashes of blocks of this size, in the place of any other."""
        remove_manifest(place)
        manifest = cls(place, _connect(place))
        with contextlib.ExitStack() as stack, manifest.error_context():
            stack.push(manifest)
            # It proves nothing yet: a power cut may take it, until something is made durable, which flushes all of the file.
            manifest.connection.executescript(f"PRAGMA synchronous = OFF; BEGIN; {_TABLES}")
            manifest._set_fact("format", _FORMAT)
            manifest._set_fact("digest", digest.NAME)
            manifest._set_fact("block", block)
            manifest._set_fact("whole", 0)
            manifest.connection.commit()
            manifest.connection.executescript(_SETTINGS)
            manifest.is_new = True
            stack.pop_all()
            return manifest

    def _check(self) -> None:
        """Read all; raises :class:`DamagedError` if something is not what was written."""
        self.connection.executescript(_SETTINGS)
        form, hash_name = self._fact("format"), self._fact("digest") or _FIRST_DIGEST
        if not isinstance(form, str) or not form.startswith(_FORMATS):
            raise DamagedError("no manifest")
        if form not in (_FORMAT, _FORMAT_WITH_CLONES) or hash_name != digest.NAME:
            raise ManifestUnknownError(f"{self._place.path} is a {form} with {hash_name} digests")
        if not isinstance(self._fact("block"), int):
            raise DamagedError("another type")
        for directory, chunk, records in self.connection.execute("SELECT folder, part, records FROM parts"):
            if not (isinstance(directory, bytes) and isinstance(chunk, int) and isinstance(records, bytes)):
                raise DamagedError("another type")
            check(records)
        self.connection.execute("SELECT max(digests) FROM blocks").fetchone()  # each is checked when it is used

    @contextlib.contextmanager
    def draft(self) -> Iterator[Manifest]:
        """A second manifest like this one, to be changed: it takes the place of this one at the end, complete.

        So no reader sees half of a change, or the journal of one. It does so as well if an error ends the work: what was
        changed until then stays changed.
        """
        directory = self._place.directory
        place = _draft_of(self._place)
        remove_manifest(place)
        draft = Manifest(place, _connect(place))
        try:
            with self.error_context():
                self.connection.backup(draft.connection)
                draft.connection.executescript(_SETTINGS)
            try:
                yield draft
            finally:
                draft.commit(complete=True)
                draft.close()
                with error_context("rename", place.path, self._place.path):
                    descriptor = directory.descriptor
                    os.rename(place.name, self._place.name, src_dir_fd=descriptor, dst_dir_fd=descriptor)
                    os.fsync(descriptor)
        finally:
            draft.close()
            remove_manifest(place)

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[ManifestReader]:
        """A reader for several processes: what is set in the block is in the file only after the next commit, behind it.

        Whatever was set before has to be committed.
        """
        assert not self.connection.in_transaction  # in one, SQLite takes the pragma and does not act on it
        reader = ManifestReader(self._place)
        with self.error_context():
            self.connection.execute("PRAGMA cache_spill = OFF")
        try:
            yield reader
        finally:
            reader.close()

    def close(self) -> None:
        """Close it; what was not committed is lost, as by a crash."""
        self.connection.close()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def block(self) -> int:
        """The size in bytes of the blocks that large files are hashed by."""
        block = self._fact("block")
        assert isinstance(block, int)  # it was checked when this was opened
        return block

    @property
    def complete(self) -> bool:
        """True if it is of a complete verified copy."""
        with self.error_context():
            return self._fact("whole") == 1

    def update(self, update: ManifestUpdate) -> None:
        """Set the records of a chunk, or add a segment to them."""
        before = b"" if update.replace else self._chunk(update.path, update.chunk)
        self.store([(directory_key(update.path), update.chunk, before + update.segment)])

    def store(self, rows: list[tuple[bytes, int, bytes]]) -> None:
        """Set the records of chunks, each by its directory's key and its number."""
        with self.error_context():
            if not self._may_have_clones and any(digest.CLONED in segment for _, _, segment in rows):
                self._set_fact("format", _FORMAT_WITH_CLONES)
                self._may_have_clones = True
            self.connection.executemany("INSERT OR REPLACE INTO parts VALUES (?, ?, ?)", rows)

    def add_blocks(self, blocks: BlockDigests) -> None:
        """Add digests of blocks; the first of a copy takes the place of all others."""
        before = b"" if blocks.first else self._blocks(blocks.path, blocks.name, blocks.identity)
        with self.error_context():
            self.connection.execute(
                "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?)",
                (directory_key(blocks.path), os.fsencode(blocks.name), blocks.identity, before + blocks.digests),
            )

    def commit(self, *, complete: bool) -> None:
        """Make durable what was set, and if this is a complete verified copy."""
        with self.error_context():
            self._set_fact("whole", int(complete))
            self.connection.commit()

    def _set_fact(self, name: str, value: object) -> None:
        self.connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def _draft_of(place: PathAt) -> PathAt:
    return replace(place, name=place.name.removesuffix(MANIFEST).removesuffix(MANIFEST_DRAFT) + MANIFEST_DRAFT)


def _manifest_error(error: sqlite3.Error, place: PathAt) -> OSError:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return OSError(errno.ENOSPC, f"manifest: {os.strerror(errno.ENOSPC)}", str(place.path))
    return OSError(errno.EIO, f"manifest: {error}", str(place.path))


def remove_manifest(place: PathAt) -> None:
    """Remove a manifest, if there is one, and its draft. Its journal goes last: it may be what makes the manifest whole."""
    draft = _draft_of(place).name
    for name in (draft, draft + JOURNAL, place.name, place.name + JOURNAL):
        with error_context("unlink", place.directory.path / name), contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=place.directory.descriptor)


def open_read_only(place: PathAt) -> ManifestReader | None:
    """The manifest of a complete copy, for somebody who must not write, not even to put right what a crash left.

    None if there is none, or none that can be believed as it stands. Raises :class:`OSError`.
    """
    kinds = []
    for name in (place.name, place.name + JOURNAL):
        with contextlib.suppress(FileNotFoundError):
            kinds.append(stat.S_IFMT(os.stat(name, dir_fd=place.directory.descriptor, follow_symlinks=False).st_mode))
    if kinds != [stat.S_IFREG]:  # there is a journal, or something else than a file
        return None
    reader = ManifestReader(place)
    with contextlib.ExitStack() as stack:
        stack.callback(reader.close)
        if reader.is_believable:
            stack.pop_all()
            return reader
    return None


def has_clones(place: PathAt) -> bool:
    """Tell if a manifest that was just completed has clones in it; False if it cannot be read."""
    try:
        with contextlib.closing(_connect(place)) as connection:
            found = connection.execute("SELECT value FROM facts WHERE name = 'format'").fetchone()
            return bool(found == (_FORMAT_WITH_CLONES,))
    except (OSError, sqlite3.Error):
        return False


def _connect(place: PathAt, options: str = "") -> sqlite3.Connection:
    """Open by the directory's descriptor: whatever is put in the directory's place, this is the one that is meant."""
    with error_context("open", place.path):
        path = os.fsencode(place_of(place.directory)) + b"/" + os.fsencode(place.name)
    try:
        return sqlite3.connect(f"file:{quote(path)}?nolock=1{options}", uri=True)
    except sqlite3.Error as error:
        raise _manifest_error(error, place) from error
