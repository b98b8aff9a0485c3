"""Hostile and damaged tars: each is refused with the cache as it was, or unpacks inside its own tree."""

from __future__ import annotations

import gzip
import os
import random
import stat
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conveyor.errors import ConveyorError, WeblogDamagedError, WeblogTooLargeError, WeblogUnsafeError
from conveyor.filesystem.posix import PosixFileSystem
from conveyor.request.places import Places
from conveyor.weblog.cache import WeblogCache
from conveyor.weblog.reader import Limits
from support.inventory import inventory
from support.tars import DAMAGED, SAFE, TYPES, UNSAFE, bomb, global_header, member, tar
from support.workspace import weblog_tar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GENEROUS = Limits(bytes=1_000_000_000, members=100_000, ratio=200)
CORPUS = {
    f"{kind}: {name}": make
    for kind, group in (("unsafe", UNSAFE), ("damaged", DAMAGED))
    for name, make in group.items()
}
FS = PosixFileSystem(sync=lambda _: None)


class Bench:
    """A folder with a tar in it, and a weblog cache beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / "weblog-cache"
        self.tree = self.cache / "request"
        (root / "products").mkdir()
        self.places = Places("request", root / "spool" / "request", root / "qa2", self.cache, relative_links=True)

    def put(self, content: bytes, name: str = "weblog.tgz") -> None:
        (self.root / "products" / name).write_bytes(content)

    def check(self, limits: Limits = GENEROUS, name: str = "weblog.tgz") -> None:
        with FS.open_root(self.root / "products") as folder:
            WeblogCache(FS, self.places, limits).check(folder, name)

    def store(self, limits: Limits = GENEROUS, name: str = "weblog.tgz") -> bool:
        with FS.open_root(self.root / "products") as folder:
            return WeblogCache(FS, self.places, limits).store(folder, name).changed


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "bench").mkdir()
    return Bench(tmp_path / "bench")


def refused(act: Callable[[], object]) -> ConveyorError:
    with pytest.raises(ConveyorError) as caught:
        act()
    return caught.value


@pytest.mark.parametrize("cached", [False, True], ids=["nothing cached", "another cached"])
@pytest.mark.parametrize("name", CORPUS)
def test_a_hostile_tar_is_refused_and_the_cache_stays(bench: Bench, name: str, cached: bool) -> None:
    """Each tar is refused for what it is, by the check and by the store alike; every byte and time stays."""
    if cached:
        bench.put(weblog_tar())
        bench.store()
    bench.put(CORPUS[name]())
    before = inventory(bench.root)
    checked, stored = refused(bench.check), refused(bench.store)
    assert type(stored) is type(checked) is (WeblogUnsafeError if name.startswith("unsafe") else WeblogDamagedError)
    assert stored.message == checked.message
    assert "products/weblog.tgz" in stored.message
    assert len(stored.message) < 600
    assert inventory(bench.root) == before


@pytest.mark.parametrize("name", SAFE)
def test_an_odd_but_harmless_tar_is_unpacked_inside_its_tree(bench: Bench, name: str) -> None:
    """What may stand in a weblog is unpacked: regular files, folders and links that stay inside, readable for all."""
    bench.put(SAFE[name]())
    outside = inventory(bench.root, inside="products")
    bench.check()
    assert bench.store()
    assert inventory(bench.root, inside="products") == outside
    assert sorted(os.listdir(bench.cache)) == ["request"]
    check_the_tree(bench.tree)


def check_the_tree(tree: Path) -> None:
    """Nothing below the tree leads out of it, waits, has rights that it should not have, or is unreadable."""
    items = list(tree.rglob("*"))
    assert items
    for path in items:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            real = os.path.realpath(path)
            assert real == str(tree) or real.startswith(f"{tree}/")
        else:
            assert stat.S_ISREG(mode) or stat.S_ISDIR(mode)
            assert stat.S_IMODE(mode) in (0o644, 0o755)


def test_a_file_that_comes_twice_is_the_last_one(bench: Bench) -> None:
    """The last of several members of one name counts, and a hard link made before keeps the first."""
    bench.put(SAFE["hard link of a file that comes twice"]())
    bench.store()
    assert ((bench.tree / "a").read_bytes(), (bench.tree / "b").read_bytes()) == (b"last", b"first")


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(bytes=1_000_000, members=99, ratio=10_000), "more than 1000000 bytes"),
        (Limits(bytes=10**12, members=99, ratio=1), "more than 100000000 bytes"),
    ],
    ids=["bytes", "ratio"],
)
def test_a_gzip_bomb_is_refused_by_the_limit(bench: Bench, limits: Limits, says: str) -> None:
    """Gigabytes from kilobytes end at the limit of bytes, or where the tar unpacks to too many times its size."""
    bench.put(bomb(101 << 20))
    before = inventory(bench.root)
    for act in (bench.check, bench.store):
        error = refused(lambda act=act: act(limits))  # type: ignore[misc]
        assert isinstance(error, WeblogTooLargeError)
        assert says in error.message
        assert "weblog_max" in error.hint
    assert inventory(bench.root) == before


def test_a_bomb_in_what_follows_the_end_is_refused(bench: Bench) -> None:
    """Zeros without end after the last member are not read without end."""
    bench.put(gzip.compress(tar(member("a")) + bytes(3_000_000)))
    error = refused(lambda: bench.store(Limits(bytes=1_000_000, members=9, ratio=1)))
    assert isinstance(error, WeblogTooLargeError)


@pytest.mark.parametrize(
    "members",
    [
        [member(f"file {number}") for number in range(11)],
        [member("again", "folder") for _ in range(11)],
        [member("/".join(f"folder {number}" for number in range(11)))],
    ],
    ids=["files", "one folder again and again", "folders that only a name tells of"],
)
def test_too_many_members_are_refused(bench: Bench, members: list[bytes]) -> None:
    """The limit of members counts what the tar has, and what it would come to on disk."""
    bench.put(tar(*members))
    error = refused(lambda: bench.store(Limits(bytes=100_000, members=10, ratio=1)))
    assert isinstance(error, WeblogTooLargeError)
    assert "more than 10 " in error.message
    bench.store(Limits(bytes=100_000, members=11, ratio=1))


def test_many_global_headers_are_not_kept(bench: Bench) -> None:
    """Global headers are forgotten from member to member, so that they cannot fill the memory."""
    bench.put(tar(*(global_header(number) + member(f"file {number}") for number in range(20))))
    tracemalloc.start()
    try:
        bench.check()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


names = st.lists(st.sampled_from(["a", "b", "..", ".", "", "c", "\udcff", "n" * 130]), min_size=1, max_size=5).map(
    "/".join
)
members = st.builds(member, names, st.sampled_from(list(TYPES)), st.sampled_from([b"", b"x", b"y" * 600]), names)
tars = st.lists(members, max_size=8).map(lambda parts: tar(*parts))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A tar of the corpus, or a random one, with some of its bytes changed, cut out or doubled."""
    make = draw(st.sampled_from([*SAFE.values(), *UNSAFE.values()]))
    content = bytearray(draw(st.one_of(tars, st.just(make()))))
    for _ in range(draw(st.integers(0, 4))):
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
    return bytes(content)


def repair(content: bytearray) -> None:
    """Set right the checksums of all that looks like a header, so that a change is not found by them alone."""
    for at in range(0, len(content) - 511, 512):
        if content[at + 257 : at + 262] == b"ustar":
            content[at + 148 : at + 156] = b" " * 8
            content[at + 148 : at + 156] = b"%06o\0 " % sum(content[at : at + 512])


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=mutated())
def test_no_tar_writes_outside_or_fails_unforeseen(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever a tar says, it is refused with a sentence and nothing changed, or unpacked inside its own tree."""
    root = tmp_path_factory.mktemp("bench")
    bench = Bench(root)
    bench.put(content)
    before = inventory(root)
    try:
        bench.check()
        agreed = True
    except ConveyorError:
        agreed = False
    try:
        bench.store()
    except ConveyorError:
        assert not agreed
        assert inventory(root) == before
    else:
        assert agreed
        check_the_tree(bench.tree)
        assert sorted(os.listdir(root)) == ["products", "weblog-cache"]
        assert inventory(root, inside="products").items() <= before.items()


def test_random_bytes_are_damage(bench: Bench) -> None:
    """Noise, gzipped or not, is told as damage."""
    noise = random.Random(4).randbytes(5000)
    for content in (noise, b"\x1f\x8b" + noise):
        bench.put(content)
        assert isinstance(refused(bench.store), WeblogDamagedError)
