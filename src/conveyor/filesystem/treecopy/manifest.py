"""The manifest: a small database beside the request that proves what was copied, and from what.

It may lie on Lustre or NFS, so no lock of the file system is relied on: the claim on the request keeps others away, and one
process alone writes. What was committed is durable; a torn transaction is taken back by the next who opens it. A manifest
that is damaged in any other way is as good as none: whatever it says is checked when it is opened, and nothing of it is
believed where one byte is wrong.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
from typing import TYPE_CHECKING
from urllib.parse import quote

from conveyor.errors import ManifestUnknownError
from conveyor.filesystem.error_context import error_context as naming_path
from conveyor.filesystem.treecopy import digest
from conveyor.filesystem.treecopy.records import DIR_RECORD, DamagedError, check, directory_key
from conveyor.layout import JOURNAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conveyor.filesystem.treecopy.copy_options import PathAt
    from conveyor.filesystem.treecopy.messages import BlockDigests, ManifestUpdate

_FORMATS = "conveyor-manifest/"
_FORMAT = f"{_FORMATS}1"
_FIRST_DIGEST = "xxh3-128"  # of manifests that name none
# EXTRA, not FULL: a journal whose removal a power cut takes back would take back what was committed. The cache has 8 MB.
_SETTINGS = "PRAGMA synchronous = EXTRA; PRAGMA cache_size = -8000;"
_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE parts (folder BLOB, part INTEGER, records BLOB, PRIMARY KEY (folder, part));
CREATE TABLE blocks (folder BLOB, name BLOB, identity BLOB, digests BLOB, PRIMARY KEY (folder, name));
"""
# What SQLite says of a file that is not what it wrote; anything else is an error of the disk, or of the server.
_DAMAGED = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


class Manifest:
    """An open manifest. Raises :class:`OSError` with its path where it cannot be read or written.

    ``connection`` is the database itself: temporary tables in it are not in the file. ``is_new``: nothing was in it when it
    was opened.
    """

    def __init__(self, place: PathAt, connection: sqlite3.Connection) -> None:
        self._place = place
        self.connection = connection
        self.is_new = False

    @classmethod
    def open(cls, place: PathAt) -> Manifest | None:
        """The manifest that is there, if every byte of it is right; None if there is none, or none that can be believed.

        Raises :class:`ManifestUnknownError` if another release wrote it in another format, or with another hash.
        """
        with naming_path("stat", place.path):
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
                with manifest.error_context():
                    raise
            stack.pop_all()
            return manifest

    @classmethod
    def create(cls, place: PathAt, block: int) -> Manifest:
        """A new manifest, for hashes of blocks of this size, in the place of any other."""
        remove_manifest(place)
        manifest = cls(place, _connect(place))
        with contextlib.ExitStack() as stack, manifest.error_context():
            stack.push(manifest)
            manifest.connection.executescript(f"{_SETTINGS} BEGIN; {_TABLES} COMMIT;")
            manifest._set_fact("format", _FORMAT)
            manifest._set_fact("digest", digest.NAME)
            manifest._set_fact("block", block)
            manifest.commit(complete=False)
            manifest.is_new = True
            stack.pop_all()
            return manifest

    def _check(self) -> None:
        """Read all; raises where something is not what was written."""
        self.connection.executescript(_SETTINGS)
        form, hash_name = self._fact("format"), self._fact("digest") or _FIRST_DIGEST
        if not isinstance(form, str) or not form.startswith(_FORMATS):
            raise DamagedError("no manifest")
        if (form, hash_name) != (_FORMAT, digest.NAME):
            raise ManifestUnknownError(f"{self._place.path} is a {form} with {hash_name} digests")
        if not isinstance(self._fact("block"), int):
            raise DamagedError("another type")
        for directory, part, records in self.connection.execute("SELECT folder, part, records FROM parts"):
            if not (isinstance(directory, bytes) and isinstance(part, int) and isinstance(records, bytes)):
                raise DamagedError("another type")
            check(records)
        self.connection.execute("SELECT max(digests) FROM blocks").fetchone()  # each is checked when it is used

    def close(self) -> None:
        """Close it; what was not committed is lost, as by a crash."""
        self.connection.close()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def block(self) -> int:
        """The size of the blocks that big files are hashed by."""
        block = self._fact("block")
        assert isinstance(block, int)  # it was checked when this was opened
        return block

    @property
    def complete(self) -> bool:
        """Whether it tells of a whole verified copy."""
        with self.error_context():
            return self._fact("whole") == 1

    def chunk(self, path: str, part: int) -> bytes:
        """The segments of a part of a folder."""
        with self.error_context():
            row = self.connection.execute(
                "SELECT records FROM parts WHERE folder = ? AND part = ?", (directory_key(path), part)
            ).fetchone()
        return row[0] if row else b""

    def directory(self, path: str) -> tuple[bytes, bytes]:
        """The segments of a folder's own record, and of its first part."""
        with self.error_context():
            found = dict(
                self.connection.execute(
                    "SELECT part, records FROM parts WHERE folder = ? AND part IN (?, 0)",
                    (directory_key(path), DIR_RECORD),
                )
            )
        return found.get(DIR_RECORD, b""), found.get(0, b"")

    def put(self, row: ManifestUpdate) -> None:
        """Set a part of a folder, or add a segment to it."""
        before = b"" if row.replace else self.chunk(row.path, row.chunk)
        with self.error_context():
            self.connection.execute(
                "INSERT OR REPLACE INTO parts VALUES (?, ?, ?)",
                (directory_key(row.path), row.chunk, before + row.segment),
            )

    def blocks(self, path: str, name: str, identity: bytes) -> bytes:
        """The digests of the first blocks of a big file of this identity that were copied."""
        with self.error_context():
            row = self.connection.execute(
                "SELECT digests FROM blocks WHERE folder = ? AND name = ? AND identity = ?",
                (directory_key(path), os.fsencode(name), identity),
            ).fetchone()
        return row[0] if row else b""

    def add_blocks(self, blocks: BlockDigests) -> None:
        """Add digests of blocks; the first of a copy takes the place of all others."""
        before = b"" if blocks.first else self.blocks(blocks.path, blocks.name, blocks.identity)
        with self.error_context():
            self.connection.execute(
                "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?)",
                (directory_key(blocks.path), os.fsencode(blocks.name), blocks.identity, before + blocks.digests),
            )

    def commit(self, *, complete: bool) -> None:
        """Make durable what was put, and say whether this is a whole verified copy."""
        with self.error_context():
            self._set_fact("whole", int(complete))
            self.connection.commit()

    def _fact(self, name: str) -> object:
        row = self.connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def _set_fact(self, name: str, value: object) -> None:
        self.connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    @contextlib.contextmanager
    def error_context(self) -> Iterator[None]:
        """Put the manifest's path into an error of the database."""
        try:
            yield
        except sqlite3.Error as error:
            raise _manifest_error(error, self._place) from error


def _manifest_error(error: sqlite3.Error, place: PathAt) -> OSError:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return OSError(errno.ENOSPC, f"manifest: {os.strerror(errno.ENOSPC)}", str(place.path))
    return OSError(errno.EIO, f"manifest: {error}", str(place.path))


def remove_manifest(place: PathAt) -> None:
    """Remove a manifest, if there is one. Its journal goes last: it may be what makes the manifest whole."""
    for name in (place.name, place.name + JOURNAL):
        with naming_path("unlink", place.directory.path / name), contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=place.directory.descriptor)


def _connect(place: PathAt) -> sqlite3.Connection:
    """Open by way of the folder's descriptor: whatever is put in the folder's place, this is the folder that is meant."""
    path = f"/proc/self/fd/{place.directory.descriptor}/{quote(os.fsencode(place.name))}"
    try:
        return sqlite3.connect(f"file:{path}?nolock=1", uri=True)
    except sqlite3.Error as error:
        raise _manifest_error(error, place) from error
