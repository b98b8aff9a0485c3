"""Random tars, made with care and then damaged: each is refused, or unpacks inside its own tree to what tar makes of it."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import subprocess
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from conveyor.errors import WeblogDamagedError, WeblogTooLargeError, WeblogUnsafeError
from conveyor.weblog import inflate
from conveyor.weblog.limits import Limits
from conveyor.weblog.plain import PlainHeaders
from conveyor.weblog.reader import Member, read_weblog
from support.bench import Bench, check_the_tree
from support.inventory import inventory
from support.tars import END, SAFE, TYPES, UNSAFE, header, member, pax, raw, tar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

TIGHT = Limits(bytes=1_000_000, members=30, ratio=200)
PARTS = ["a", "b", "..", ".", "", "c", "\udcff", "n" * 130, "new\nline", "a" * 255, ".conveyor.json", "weblog.tgz"]
names = st.lists(st.sampled_from(PARTS), min_size=1, max_size=5).map("/".join)
plain = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)
contents = st.sampled_from([b"", b"x", b"y" * 511, b"y" * 512, b"y" * 600, member("hidden", content=b"x")])
sizes = st.sampled_from([0, 1, 511, 512, 513, 1 << 20, 1 << 33, 1 << 62, -1, -512])
extended = st.one_of(
    st.builds(lambda name: pax(path=name), names),
    st.builds(lambda name: pax(linkpath=name), names),
    st.builds(lambda size: pax(size=str(size)), sizes),
    st.builds(lambda time: pax(mtime=time), st.sampled_from(["0", "1.5", "-1", "nan", "inf", "1e400", "x", ""])),
    st.builds(lambda text: header(b"pax", b"x", len(text), text), st.binary(max_size=30)),
    st.builds(lambda text: header(b"pax", b"g", len(text), text), st.binary(max_size=30)),
    st.builds(lambda key: pax(**{key: "1"}), st.sampled_from(["GNU_sparse_major", "hdrcharset", "comment", "path"])),
    st.builds(
        lambda kind, text: header(b"long", kind, len(text), text), st.sampled_from([b"L", b"K"]), st.binary(max_size=9)
    ),
    st.builds(lambda name: header(b"long", b"L", len(name) + 1, os.fsencode(name) + b"\0"), names),
)
types = st.sampled_from([bytes([byte]) for byte in b"01234567xgLKSDMNVX\0AZ?"])
members = st.one_of(
    st.builds(member, names, st.sampled_from(list(TYPES)), contents, names),
    st.builds(member, plain, st.sampled_from(["file", "folder", "link", "hard link"]), contents, plain),
    st.builds(
        lambda name, kind, size, link: raw(os.fsencode(name)[:100], kind, size, os.fsencode(link)[:100]),
        names,
        types,
        sizes,
        names,
    ),
    st.builds(lambda one, other: one + other, extended, st.builds(member, plain, st.just("file"), contents)),
    extended,
)
tars = st.lists(members, max_size=8).map(lambda parts: tar(*parts))


ALIKE = ["a", "b", "a b", "é", "index.html", "weblog.tgz", ".", "..", "", "l" * 98]
FORMATS = {"pax": tarfile.PAX_FORMAT, "GNU": tarfile.GNU_FORMAT, "ustar": tarfile.USTAR_FORMAT}
part = st.sampled_from(["a", "b", "c", "d", "Jodrell Bänk – 観測", "two\nlines", "n" * 90, "-rf", " "])
paths = st.lists(part, min_size=1, max_size=3).map("/".join)
long_paths = st.lists(st.sampled_from(["n" * 200, "m" * 101, "a"]), min_size=1, max_size=4).map("/".join)


def fits(taken: dict[str, str], name: str, kind: str) -> bool:
    """Whether a member can stand there beside those that were taken; it is taken then."""
    parts = name.split("/")
    above = ["/".join(parts[:depth]) for depth in range(1, len(parts))]
    if any(taken.get(folder, "folder") != "folder" for folder in above):
        return False
    if name in taken and (taken[name], kind) not in (("file", "file"), ("folder", "folder")):
        return False
    taken.update(dict.fromkeys(above, "folder") | {name: kind})
    return True


@st.composite
def benign(draw: st.DrawFn) -> bytes:
    """What a program that means well writes, in one of the formats that there are: names of all lengths, links, twice."""
    form = draw(st.sampled_from(list(FORMATS)))
    anywhere = paths if form == "ustar" else paths | long_paths
    written = b""
    files: list[str] = []
    taken: dict[str, str] = {}
    for _ in range(draw(st.integers(1, 8))):
        name = draw(anywhere)
        info: Any = tarfile.TarInfo(name)
        info.mode = draw(st.sampled_from([0o644, 0o600, 0o755, 0o400]))
        info.mtime = draw(st.sampled_from([0, 1_631_306_174, 1_631_306_174.5] if form == "pax" else [0, 1_631_306_174]))
        content = b""
        kind = draw(st.sampled_from(["file", "file", "folder", "link", *(["hard link"] if files else [])]))
        if not fits(taken, name, kind):
            continue
        if kind == "file":
            info.type = draw(st.sampled_from([tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE]))
            content = draw(contents)
            info.size = len(content)
        elif kind == "folder":
            info.type, info.mode = tarfile.DIRTYPE, 0o755
        elif kind == "link":
            info.type = tarfile.SYMTYPE
            info.linkname = "../" * name.count("/") + draw(anywhere)
        else:
            info.type, info.linkname = tarfile.LNKTYPE, draw(st.sampled_from(files))
        try:
            written += info.tobuf(FORMATS[form], "utf-8", "surrogateescape")
        except ValueError:  # a name that this format has no room for
            continue
        if kind == "file":
            files.append(name)
        written += content + bytes(-len(content) % 512)
    written += END
    return gzip.compress(written) if draw(st.booleans()) else written


@st.composite
def alike(draw: st.DrawFn) -> bytes:
    """Files one after the other that differ in little, as nearly all of a weblog do."""
    form = draw(st.sampled_from(list(FORMATS)))
    folders = st.sampled_from(["a", "b/c", "./a", "a/.", ".", "b//c"])
    written = member("a/first")
    for _ in range(draw(st.integers(2, 12))):
        info: Any = tarfile.TarInfo(f"{draw(folders)}/{draw(st.sampled_from(ALIKE))}")
        info.mode = draw(st.sampled_from([0o644, 0o755]))
        info.mtime = draw(st.sampled_from([1_631_306_174, 1_631_306_174.25] if form == "pax" else [1_631_306_174]))
        content = draw(contents)
        info.size = len(content)
        written += info.tobuf(FORMATS[form], "utf-8", "surrogateescape") + content + bytes(-len(content) % 512)
    return written + END


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A tar of the corpus, or a random one, with some of its bytes changed, cut out or doubled; gzipped at times."""
    make = draw(st.sampled_from([*SAFE.values(), *UNSAFE.values()]))
    content = bytearray(draw(st.one_of(tars, benign(), alike(), st.just(b"").map(lambda _: make()))))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 4]))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        change = draw(st.sampled_from(["byte", "field", "cut", "double"]))
        if change == "byte":
            content[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif change == "field":  # where a header has its size, type, link or checksum
            field = at - at % 512 + draw(st.sampled_from([0, 100, 124, 136, 156, 157, 345]))
            content[field : field + 1] = bytes([draw(st.integers(0, 255))])
        elif change == "cut":
            del content[at : at + draw(st.sampled_from([1, 512, 1024]))]
        else:
            content[at:at] = content[at - at % 512 : at - at % 512 + 512]
        if draw(st.booleans()):
            repair(content)
    how = draw(st.sampled_from(["as it is", "as it is", "gzipped", "in two parts"]))
    if how == "gzipped":
        return gzip.compress(bytes(content), 1)
    if how == "in two parts":
        at = draw(st.integers(0, len(content)))
        return gzip.compress(bytes(content[:at]), 1) + gzip.compress(bytes(content[at:]), 1)
    return bytes(content)


def repair(content: bytearray) -> None:
    """Set right the checksums of all that looks like a header, so that a change is not found by them alone."""
    for at in range(0, len(content) - 511, 512):
        if content[at + 257 : at + 262] == b"ustar":
            content[at + 148 : at + 156] = b" " * 8
            content[at + 148 : at + 156] = b"%06o\0 " % sum(content[at : at + 512])


@given(content=mutated(), cached=st.booleans())
def test_no_tar_writes_outside_or_fails_unforeseen(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, cached: bool
) -> None:
    """Whatever a tar says, it is refused with a sentence and nothing changed, or unpacked inside its own tree."""
    root = tmp_path_factory.mktemp("bench")
    bench = Bench(root)
    if cached:
        bench.put(SAFE["one file"]())
        bench.store()
    (root / "weblog-cache" / "other").mkdir(parents=True)
    bench.put(content)
    before = inventory(root)
    refused = refusal(lambda: bench.check(TIGHT))
    assert refusal(lambda: bench.store(TIGHT)) == refused
    if refused is not None:
        assert "\n" not in refused
        assert len(refused) < 1000
        assert inventory(root) == before
    else:
        check_the_tree(bench.tree)
        assert sorted(os.listdir(root)) == ["products", "weblog-cache"]
        assert sorted(os.listdir(bench.cache)) == ["other", "request"]
        assert inventory(root, inside="products").items() <= before.items()
    event("unpacked" if refused is None else "refused")
    shutil.rmtree(root)


class Recorder:
    """A sink that keeps all that it is given."""

    def __init__(self) -> None:
        self.taken: list[tuple[object, ...]] = []

    def take(self, member: Member, content: Iterable[memoryview] | None) -> None:
        self.taken.append((member, b"".join(content or ())))

    def take_file(
        self, folder: tuple[str, ...], name: str, content: Iterable[memoryview], executable: bool, modified: int
    ) -> None:
        self.taken.append((folder, name, b"".join(content), executable, modified))


@given(content=mutated(), block=st.sampled_from([700, 1024, 2000, 1 << 16]))
def test_a_glance_at_a_header_sees_what_a_closer_look_does(content: bytes, block: int) -> None:
    """Members, totals and refusals are the same if no file is taken for one that is like an earlier one."""
    seen = []
    for glance in (True, False):
        recorder = Recorder()
        with pytest.MonkeyPatch.context() as patch:
            if not glance:
                patch.setattr(PlainHeaders, "read", lambda *_: None)
            for limit in ("_PIECE", "_BLOCK"):
                patch.setattr(inflate, limit, block)  # so that files go on in the next one
            try:
                end: object = read_weblog(
                    io.BytesIO(content), len(content), "w", TIGHT, recorder, frozenset({"weblog.tgz"})
                )
            except (WeblogDamagedError, WeblogTooLargeError, WeblogUnsafeError) as error:
                end = type(error), error.message
        seen.append((recorder.taken, end))
    assert seen[0] == seen[1]
    event("refused" if isinstance(seen[0][1], tuple) else "read")


def refusal(act: Callable[[], object]) -> str | None:
    """The sentence with which a weblog is refused; None where it is not."""
    try:
        act()
    except (WeblogDamagedError, WeblogTooLargeError, WeblogUnsafeError) as error:
        return error.message
    return None


@dataclass(frozen=True)
class Found:
    """What stands under a name of an unpacked tree."""

    kind: int
    content: str | bytes
    names: frozenset[str]


def found(top: Path, without: frozenset[str] = frozenset()) -> dict[str, Found]:
    """Every entry of an unpacked tree; a file with several names has them all."""
    paths = {os.fsdecode(path): path for path in top.rglob("*") if path.name not in without}
    of_inode: dict[int, set[str]] = {}
    for path in paths.values():
        of_inode.setdefault(path.lstat().st_ino, set()).add(str(path.relative_to(top)))
    entries = {}
    for path in paths.values():
        status = path.lstat()
        content: str | bytes = ""
        if stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        entries[str(path.relative_to(top))] = Found(
            stat.S_IFMT(status.st_mode), content, frozenset(of_inode[status.st_ino])
        )
    return entries


def by_tarfile(tar: Path, scratch: Path) -> None:
    with tarfile.open(tar) as archive:
        names = archive.getnames()
        if len(set(names)) < len(names):  # it writes the second into the first's file, and so into its hard links
            by_gnu_tar(tar, scratch)
            return
        trusted = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
        archive.extractall(scratch, **trusted)  # type: ignore[arg-type]  # only what is inside the tree comes here


def by_gnu_tar(tar: Path, scratch: Path) -> None:
    if shutil.which("tar") is None:
        pytest.skip("there is no tar program")
    subprocess.run(["tar", "-xf", str(tar), "-C", str(scratch), "--no-same-owner"], check=True, capture_output=True)


ORACLES: list[Callable[[Path, Path], None]] = [by_tarfile, by_gnu_tar]


@given(content=benign())
def test_what_is_unpacked_is_what_tar_would_unpack(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Names, kinds, contents, links and hard links are those that Python's tarfile and GNU tar make of the same tar."""
    root = tmp_path_factory.mktemp("bench")
    bench = Bench(root)
    bench.put(content)
    if refusal(bench.store):  # a name that comes twice as two things, or no member at all
        event("refused")
    else:
        event("unpacked")
        ours = found(bench.tree, frozenset({"weblog.tgz", ".conveyor.json"}))
        for oracle in ORACLES:
            scratch = root / oracle.__name__
            scratch.mkdir()
            oracle(root / "products" / "weblog.tgz", scratch)
            assert found(scratch) == ours, oracle.__name__
    shutil.rmtree(root)
