"""Why a tar is refused, in words that are true: who reads them looks for the right thing."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from typing import TYPE_CHECKING

import pytest

from conveyor.errors import ConveyorError
from support.bench import Bench
from support.tars import END, header, member, pax, raw, tar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLAIN = tar(member("html/t1-1.html", content=b"page"))
CUT = bytes(600)

#: What the file is, and what has to be said of it.
REASONS: dict[str, tuple[Callable[[], bytes], str]] = {
    "xz": (lambda: lzma.compress(PLAIN), "compressed by xz"),
    "lzma": (lambda: lzma.compress(PLAIN, format=lzma.FORMAT_ALONE), "compressed by lzma"),
    "bzip2": (lambda: bz2.compress(PLAIN), "compressed by bzip2"),
    "zlib": (lambda: zlib.compress(PLAIN), "compressed by zlib"),
    "zstd": (lambda: b"\x28\xb5\x2f\xfd" + CUT, "compressed by zstd"),
    "compress": (lambda: b"\x1f\x9d\x90" + CUT, "compressed by compress"),
    "lz4": (lambda: b"\x04\x22\x4d\x18" + CUT, "compressed by lz4"),
    "lzip": (lambda: b"LZIP\1" + CUT, "compressed by lzip"),
    "xz, gzipped": (lambda: gzip.compress(lzma.compress(PLAIN)), "compressed by xz"),
    "gzipped twice": (lambda: gzip.compress(gzip.compress(PLAIN)), "gzipped twice"),
    "zip": (lambda: b"PK\x03\x04" + CUT, "no tar archive, but one of zip"),
    "cpio": (lambda: b"070701" + b"0" * 600, "no tar archive, but one of cpio"),
    "html": (lambda: b"\n<!DOCTYPE html>" + b"404" * 600, "no tar archive, but a page of html"),
    "html, gzipped": (lambda: gzip.compress(b"<HTML>" + b"404" * 600), "no tar archive, but a page of html"),
    "text": (lambda: b"later", "no tar archive; it begins with b'later'"),
    "nothing": (bytes, "it is empty"),
    "nothing, gzipped": (lambda: gzip.compress(b""), "it is empty"),
    "no members": (lambda: END, "it has no members"),
    "a newline after gzip": (lambda: gzip.compress(PLAIN) + b"\n", "stands after the end of its gzip stream"),
    "zeros and a word after gzip": (
        lambda: gzip.compress(PLAIN) + bytes(99) + b"x",
        "after the end of its gzip stream",
    ),
    "a cut gzip": (lambda: gzip.compress(PLAIN)[:-9], "the gzip stream ends before its end mark"),
    "a wrong checksum": (lambda: gzip.compress(PLAIN)[:-8] + bytes(8), "checksum"),
    "a broken header": (lambda: b"x" + PLAIN[1:], "a header has a wrong checksum"),
    "70 folders": (lambda: tar(member("d/" * 70 + "f")), "is too deep: in 70 folders"),
    "a second volume": (lambda: tar(raw(b"a", b"M", 512), CUT[:512]), "an earlier volume of a multi-volume tar"),
    "a second volume of POSIX": (
        lambda: tar(header(b"x", b"g", 24, b"24 GNU.volume.offset=99\n"), member("a", content=b"x")),
        "an earlier volume of a multi-volume tar",
    ),
    "hard link with its content": (
        lambda: tar(member("a", content=b"x"), raw(b"b", b"1", 600, b"a"), b"text" * 256),
        "'b' is a hard link that has a content of its own",
    ),
    "hard link to a folder": (lambda: tar(member("f", "folder"), member("a", "hard link", target="f")), "a folder"),
    "hard link to nothing": (lambda: tar(member("a", "hard link", target="f")), "no file that came before it"),
    "name with dots": (lambda: tar(member("a/../b")), "has '..' in its name"),
    "link through nothing": (
        lambda: tar(member("l", "link", target="a/../b")),
        "goes up from 'a', no folder that came before it: 'a/../b'",
    ),
    "link out": (lambda: tar(member("l", "link", target="../b")), "is a link out of the tree"),
    "through a link": (lambda: tar(member("l", "link", target="f"), member("l/x")), "goes through 'l', a link"),
    "two headers": (
        lambda: tar(pax(size="1") + header(b"L", b"L", 2, b"b\0"), member("a", content=b"x")),
        "'b' is told its name or size by extended headers of POSIX and of GNU tar",
    ),
}


@pytest.mark.parametrize("name", REASONS)
def test_the_reason_is_the_true_one(tmp_path: Path, name: str) -> None:
    """The message says what is wrong with this tar, and nothing else."""
    make, says = REASONS[name]
    (tmp_path / "bench").mkdir()
    bench = Bench(tmp_path / "bench")
    bench.put(make())
    for act in (bench.check, bench.store):
        with pytest.raises(ConveyorError) as caught:
            act()
        assert says in caught.value.message
        assert caught.value.exit_code == 65
