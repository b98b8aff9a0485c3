"""What programs write that make tars: each file, link and hole of it is on disk as GNU tar makes it.

The headers of programs that are seldom installed are laid by hand, each field where the program puts it.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from conveyor.errors import ConveyorError, WeblogTooLargeError, WeblogUnsafeError
from conveyor.weblog.limits import Limits
from support.bench import GENEROUS, Bench, check_the_tree
from support.tars import header, member, octal, patched, pax, raw, records, tar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZE = 3_000_000
DATA = b"a line\n" * 1000
DATA += bytes(-len(DATA) % 4096)
TAIL = b"the last line, which ends in the middle of a block\n"
AT = 1 << 20
MAP = [(AT, len(DATA)), (SIZE - len(TAIL), len(TAIL))]
STORED = DATA + TAIL
LOG = bytes(AT) + DATA + bytes(SIZE - AT - len(STORED)) + TAIL
NAME = "html/casa.log"


def old_segments(segments: list[tuple[int, int]]) -> bytes:
    """The map of a sparse file in a header of GNU tar or star: twelve octal digits each."""
    return b"".join(octal(number, 12) for segment in segments for number in segment)


def extension(segments: list[tuple[int, int]], *, goes_on: bool = False) -> bytes:
    """A block that continues a map, for up to 21 segments."""
    return old_segments(segments).ljust(504, b"\0") + bytes([goes_on]) + bytes(7)


def gnu_sparse(segments: list[tuple[int, int]], stored: bytes, size: int = SIZE, more: bytes = b"") -> bytes:
    """A sparse file as GNU tar, and toybox, write it in their own format."""
    fields = {386: old_segments(segments[:4]), 482: bytes([bool(more)]), 483: octal(size, 12)}
    return patched(header(NAME.encode(), b"S", len(stored)), fields) + more + stored + bytes(-len(stored) % 512)


def star_sparse(segments: list[tuple[int, int]], stored: bytes, *, is_old: bool) -> bytes:
    """A sparse file as star writes it: the map stands in the content, but for the first segments in old ones."""
    more = b"" if is_old else extension(segments)
    fields = {
        257: b"ustar\00000",
        345: bytes(131),
        452: octal(SIZE, 12),
        476: b"14000000000 14000000000 ",
        508: b"tar\0",
    }
    if is_old:
        fields[356] = old_segments(segments)
    content = more + stored
    return patched(header(NAME.encode(), b"S", len(content)), fields) + content + bytes(-len(content) % 512)


def pax_sparse(
    stored: bytes, *said: tuple[str, object], name: str = f"GNUSparseFile.0/{NAME}", content: bytes = b""
) -> bytes:
    """A sparse file in a pax header, whose own header is that of a file for programs that know none."""
    keys = [(f"GNU.sparse.{key}", str(value)) for key, value in said]
    content = (content + bytes(-len(content) % 512) if content else b"") + stored
    return records(*keys) + member(name, content=content)


def in_content(segments: list[tuple[int, int]]) -> bytes:
    """The map of version 1.0, a number a line."""
    return b"%d\n" % len(segments) + b"".join(b"%d\n%d\n" % segment for segment in segments)


VERSION_1_0: tuple[tuple[str, object], ...] = (("major", 1), ("minor", 0), ("name", NAME), ("realsize", SIZE))
MANY = [(number * 8192, 512) for number in range(300)]
MANY_BLOCKS = [MANY[4 + at : 25 + at] for at in range(0, 296, 21)]
MANY_STORED = b"".join(b"%512d" % number for number in range(300))

SPARSE: dict[str, Callable[[], bytes]] = {
    "gnu": lambda: gnu_sparse(MAP, STORED),
    "gnu, with a segment of nothing at the end": lambda: gnu_sparse([MAP[0], (SIZE, 0)], DATA),
    "star, old": lambda: star_sparse(MAP, STORED, is_old=True),
    "star": lambda: star_sparse(MAP, STORED, is_old=False),
    "star, exustar": lambda: records(("SCHILY.realsize", str(SIZE))) + star_sparse(MAP, STORED, is_old=False),
    "0.0": lambda: pax_sparse(
        STORED,
        ("size", SIZE),
        ("numblocks", 2),
        *((key, value) for one in MAP for key, value in zip(("offset", "numbytes"), one, strict=True)),
        name=NAME,
    ),
    "0.1": lambda: pax_sparse(
        STORED,
        ("size", SIZE),
        ("numblocks", 2),
        ("name", NAME),
        ("map", ",".join(str(number) for one in MAP for number in one)),
    ),
    "1.0": lambda: pax_sparse(STORED, *VERSION_1_0, content=in_content(MAP)),
    "1.0, whose map has many blocks": lambda: pax_sparse(MANY_STORED, *VERSION_1_0, content=in_content(MANY)),
    "gnu, whose map goes on": lambda: gnu_sparse(
        MANY,
        MANY_STORED,
        more=b"".join(extension(part, goes_on=part is not MANY_BLOCKS[-1]) for part in MANY_BLOCKS),
    ),
}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "bench").mkdir()
    return Bench(tmp_path / "bench")


@pytest.mark.parametrize("name", SPARSE)
def test_a_sparse_file_has_its_content_its_name_and_its_holes(bench: Bench, name: str) -> None:
    """Whatever its map stands in, the file is the one that was packed, and takes no more room than that."""
    bench.put(gzip.compress(tar(member("html/t1-1.html", content=b"page"), SPARSE[name](), member("html/z"))))
    bench.check()
    bench.store()
    file = bench.tree / NAME
    assert sorted(os.listdir(bench.tree / "html")) == ["casa.log", "t1-1.html", "z"]
    assert file.stat().st_size == SIZE
    assert file.stat().st_mtime == (bench.tree / "html" / "z").stat().st_mtime
    if "many" in name or "goes on" in name:
        content = file.read_bytes()
        assert b"".join(content[at : at + size] for at, size in MANY) == MANY_STORED
        assert content.count(b"\0") == SIZE - len(MANY_STORED)
    else:
        assert file.read_bytes() == (LOG if "nothing" not in name else bytes(AT) + DATA + bytes(SIZE - AT - len(DATA)))
        assert file.stat().st_blocks * 512 < SIZE / 4


def test_the_real_size_counts(bench: Bench) -> None:
    """A hole is part of the file: who reads all of it has as many bytes, and a limit is for them."""
    bench.put(tar(SPARSE["1.0"]()))
    with pytest.raises(WeblogTooLargeError, match="weblog_max_bytes"):
        bench.store(Limits(bytes=SIZE - 1, members=9, ratio=9999))
    bench.put(tar(gnu_sparse([(0, 0)], b"", size=1 << 60)))
    with pytest.raises(WeblogTooLargeError):
        bench.store(GENEROUS)


AWKWARD: dict[str, Callable[[], bytes]] = {
    "out of order": lambda: gnu_sparse(MAP[::-1], STORED),
    "one above the other": lambda: gnu_sparse([(0, 4096), (512, 4096)], bytes(8192)),
    "beyond the end": lambda: gnu_sparse([(SIZE, 512)], bytes(512)),
    "more than is stored": lambda: gnu_sparse([(0, 1024)], bytes(512)),
    "less than is stored": lambda: gnu_sparse([(0, 512)], bytes(1024)),
    "less than nothing": lambda: patched(gnu_sparse([(0, 512)], b""), {398: b"\xff" * 12}),
    "less than nothing in all": lambda: patched(gnu_sparse([(0, 0)], b""), {483: b"\xff" * 12}),
    "parts of blocks": lambda: gnu_sparse([(0, 100), (4096, 100)], bytes(200)),
    "an end, and more": lambda: gnu_sparse(MAP, STORED, more=extension([(SIZE, 0)])),
    "without an end": lambda: gnu_sparse([(0, 0)] * 4, b"", more=extension([(0, 0)] * 21, goes_on=True) * 2000),
    "no numbers": lambda: patched(gnu_sparse(MAP, STORED), {386: b"x" * 12}),
    "no format": lambda: patched(gnu_sparse(MAP, STORED), {257: bytes(8)}),
    "star's without its times": lambda: patched(star_sparse(MAP, STORED, is_old=True), {476: bytes(24)}),
    "both formats": lambda: pax(GNU_sparse_realsize="1") + gnu_sparse(MAP, STORED),
    "a version of the future": lambda: pax_sparse(
        STORED, ("major", 2), ("minor", 0), ("realsize", SIZE), content=in_content(MAP)
    ),
    "two sizes": lambda: pax_sparse(STORED, *VERSION_1_0, ("size", 1), content=in_content(MAP)),
    "no size": lambda: pax_sparse(STORED, *VERSION_1_0[:3], content=in_content(MAP)),
    "two maps": lambda: pax_sparse(STORED, ("size", SIZE), ("offset", 0), ("numbytes", 9), ("map", "0,9")),
    "half a pair": lambda: pax_sparse(STORED, ("size", SIZE), ("map", "0,9,7")),
    "two offsets": lambda: pax_sparse(STORED, ("size", SIZE), ("offset", 0), ("offset", 9)),
    "two names": lambda: pax_sparse(STORED, *VERSION_1_0, ("name", "other"), content=in_content(MAP)),
    "another number of segments": lambda: pax_sparse(STORED, ("size", SIZE), ("numblocks", 3), ("map", "0,9")),
    "no map": lambda: pax_sparse(b"x" * 512, *VERSION_1_0),
    "a map that is longer than the content": lambda: pax_sparse(b"", *VERSION_1_0, content=b"99\n" + b"0\n" * 99),
    "a number without an end": lambda: pax_sparse(b"", *VERSION_1_0, content=b"9" * 5000),
    "a million segments": lambda: pax_sparse(b"", *VERSION_1_0, content=b"1000000\n"),
    "more than it says": lambda: pax_sparse(STORED, *VERSION_1_0, content=in_content(MAP) + b"9\n"),
    "a folder": lambda: pax(GNU_sparse_size="9") + raw(b"a/", b"5"),
    "all members": lambda: header(b"pax", b"g", 21, b"21 GNU.sparse.size=9\n") + member("a"),
    "a name of GNU tar": lambda: pax_sparse(b"", *VERSION_1_0)[:1024] + header(b"L", b"L", 2, b"x\0") + member("a"),
    "a name that leaves the tree": lambda: pax_sparse(
        STORED, *VERSION_1_0[:2], ("name", "../x"), VERSION_1_0[3], content=in_content(MAP)
    ),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_a_map_that_is_not_clear_is_refused_before_anything_is_written(bench: Bench, name: str) -> None:
    """Neither a bomb nor a file that two programs would read differently comes from a map."""
    bench.put(tar(AWKWARD[name](), member("b")))
    for act in (bench.check, bench.store):
        with pytest.raises(WeblogUnsafeError):
            act()
    assert not bench.cache.exists()


def test_a_sparse_file_that_ends_too_early_is_damaged(bench: Bench) -> None:
    """The content has to have what the map says, to its last byte."""
    bench.put(SPARSE["gnu"]()[:4000])
    with pytest.raises(ConveyorError, match="ends inside a file"):
        bench.store()


@dataclass(frozen=True)
class Made:
    """A tar that GNU tar makes of what a shell makes, in a folder of its own; ``$TAR`` is its path."""

    name: str
    command: str


MADE = [
    Made("a file by its name and by its folder's", "tar cf $TAR html html/t1-1.html"),
    Made("each file by its folder too", "find html | tar cf $TAR -T -"),
    Made("appended again", "tar cf $TAR html && echo new > html/t1-1.html && tar rf $TAR html"),
    Made("updated links", "tar cf $TAR html && ln -sfn t2-1.html html/index.html && tar uf $TAR html"),
    Made("a file that became a link", "tar cf $TAR html && ln -sf t2-1.html html/t1-1.html && tar rf $TAR html"),
    Made(
        "a link that became a file",
        "tar cf $TAR html && rm html/index.html && date > html/index.html; tar rf $TAR html",
    ),
    Made("a second name of a link", "cp -al html copy && tar cf $TAR html copy"),
    Made(
        "a hard link that became a file", "tar cf $TAR html && rm html/t3.log && date > html/t3.log && tar rf $TAR html"
    ),
    Made(
        "a file that became a hard link", "tar cf $TAR html && ln -f html/t1-1.html html/t2-1.html && tar rf $TAR html"
    ),
    *(Made(f"holes, {form}", f"tar cSf $TAR --format={form} html") for form in ("gnu", "oldgnu", "posix")),
    *(
        Made(f"holes, {one}", f"tar cSf $TAR --format=posix --sparse-version={one} html")
        for one in ("0.0", "0.1", "1.0")
    ),
    Made("a label", "tar cf $TAR --format=gnu --label=weblog html"),
    Made("a label of POSIX", "tar cf $TAR --format=posix --label=weblog html"),
    Made("incremental", "tar cf $TAR --format=gnu -g snapshot html"),
    Made("incremental of POSIX", "tar cf $TAR --format=posix -g snapshot html"),
    Made("old", "tar cf $TAR --format=v7 html"),
    Made("gzipped", "tar czf $TAR html"),
    Made("long names", f"mkdir html/{'d' * 90} && touch html/{'d' * 90}/{'f' * 200} && tar cf $TAR --format=gnu html"),
    Made("names that are not UTF-8", "touch $(printf 'html/\\351\\n') html/λ && tar cf $TAR html"),
]


@pytest.mark.skipif(shutil.which("tar") is None, reason="there is no tar program")
@pytest.mark.parametrize("made", MADE, ids=lambda made: made.name)
def test_what_gnu_tar_makes_is_unpacked_as_it_unpacks_it(bench: Bench, tmp_path: Path, made: Made) -> None:
    """Names, kinds, contents, links, hard links and holes are the same."""
    top, theirs = tmp_path / "top", tmp_path / "theirs"
    (top / "html").mkdir(parents=True)
    (top / "html" / "t1-1.html").write_text("page")
    (top / "html" / "t2-1.html").write_text("another")
    (top / "html" / "index.html").symlink_to("t1-1.html")
    os.link(top / "html" / "t2-1.html", top / "html" / "t3.log")
    with (top / "html" / "casa.log").open("wb") as log:
        log.write(b"begin\n" * 1000)
        log.seek(AT)
        log.write(b"end\n" * 1000)
        log.truncate(SIZE)
    tar_path = bench.root / "products" / "weblog.tar"
    subprocess.run(made.command, shell=True, check=True, cwd=top, env={**os.environ, "TAR": str(tar_path)})
    bench.store(name=tar_path.name)
    check_the_tree(bench.tree)
    theirs.mkdir()
    subprocess.run(["tar", "xf", str(tar_path), "-C", str(theirs), "--no-same-owner"], check=True)
    assert tree(bench.tree) == tree(theirs)


def tree(top: Path) -> dict[bytes, tuple[object, ...]]:
    """What stands below a folder: content, link text, the names that a file has, and about how much room it takes."""
    found: dict[bytes, tuple[object, ...]] = {}
    first: dict[int, bytes] = {}
    for path in sorted(top.rglob("*")):
        name = os.fsencode(path.relative_to(top))
        if name in (b"weblog.tar", b".conveyor.json"):
            continue
        same = first.setdefault(path.lstat().st_ino, name)
        if path.is_symlink():
            found[name] = ("link", os.readlink(path), same)
        elif path.is_dir():
            found[name] = ("folder",)
        else:
            found[name] = (path.read_bytes(), same, path.stat().st_blocks // 200)
    return found


OTHERS: dict[str, Callable[[], bytes]] = {
    "a label, and what it is followed by": lambda: tar(raw(b"weblog", b"V"), member("a", content=b"x")),
    "GNU tar's folders with their lists": lambda: tar(
        header(b"html/", b"D", 7, b"Ya\0Nb\0\0"), member("a", content=b"x")
    ),
    "headers of Solaris": lambda: tar(header(b"pax", b"X", 9, b"9 path=a\n"), member("b", content=b"x")),
    "long names of GNU, numbers of POSIX": lambda: tar(
        header(b"././@LongLink", b"L", 2, b"a\0"), pax(mtime="1.5", uid="9999999"), member("b", content=b"x")
    ),
    "the same the other way round": lambda: tar(
        pax(mtime="1.5", atime="2"), header(b"././@LongLink", b"L", 2, b"a\0"), member("b", content=b"x")
    ),
    "times of 1968 as packers for Node write them": lambda: tar(
        patched(member("a", content=b"x"), {136: b"0-170231600\0"})
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_other_programs_write_is_unpacked(bench: Bench, name: str) -> None:
    """What GNU tar takes without a loss is taken."""
    bench.put(OTHERS[name]())
    bench.store()
    assert (bench.tree / "a").read_bytes() == b"x"
    check_the_tree(bench.tree)


@pytest.mark.parametrize(
    "field",
    [b"0-170231600\0", b"\xff" + (-40_000_000).to_bytes(11, "big", signed=True), b"\x80\0\0\0" + b"\xff" * 7 + b"\1"],
    ids=["Node", "GNU tar", "star"],
)
def test_a_time_before_1970_is_that_of_1970(bench: Bench, field: bytes) -> None:
    """Not every file system has earlier ones."""
    bench.put(tar(patched(member("a", content=b"x"), {136: field})))
    bench.store()
    assert (bench.tree / "a").stat().st_mtime == 0
