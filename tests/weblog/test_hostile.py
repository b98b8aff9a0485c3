"""Hostile and damaged tars: each is refused with the cache as it was, or unpacks inside its own tree."""

from __future__ import annotations

import gzip
import os
import random
import resource
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from conveyor.errors import ConveyorError, WeblogDamagedError, WeblogTooLargeError, WeblogUnsafeError
from conveyor.weblog.limits import Limits
from support.bench import Bench, check_the_tree
from support.inventory import inventory
from support.tars import DAMAGED, SAFE, UNSAFE, bomb, global_header, header, member, pax, tar
from support.workspace import weblog_tar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CORPUS = {
    f"{kind}: {name}": make
    for kind, group in (("unsafe", UNSAFE), ("damaged", DAMAGED))
    for name, make in group.items()
}


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


DEEP = "/".join("d" * 60)
FLOODS: dict[str, Callable[[], bytes]] = {
    "global headers": lambda: tar(*(global_header(number) + member(f"file {number}") for number in range(20))),
    "headers full of records": lambda: tar(*[pax(**{f"k{n}": "v" for n in range(99)}) + member("a")] * 2000),
    "the same file again": lambda: tar(*[member("a")] * 5000),
    "hard links to a deep file": lambda: tar(
        member(f"{DEEP}/a"), *(member(f"h{number}", "hard link", target=f"{DEEP}/a") for number in range(1000))
    ),
    "deep folders by turns": lambda: tar(*(member(f"{'ab'[n % 2]}/{DEEP}/{n}") for n in range(1000))),
    "names of nothing but dots": lambda: tar(*(pax(path="./" * 30000 + str(n)) + member("x") for n in range(50))),
    "a file of zeros": lambda: tar(header(b"a", b"0", 30 << 20, bytes(30 << 20))),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_does_not_fill_the_memory(bench: Bench, name: str) -> None:
    """Much from little, in headers, names or content, is taken one by one: memory stays small."""
    bench.put(gzip.compress(FLOODS[name](), 1))
    tracemalloc.start()
    try:
        bench.store()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


def test_a_link_of_an_earlier_weblog_is_never_gone_through(bench: Bench) -> None:
    """CVE-2025-45582: a link in the first tar and a file through it in the second meet nowhere: each has its own tree."""
    (bench.cache / "other").mkdir(parents=True)
    bench.put(tar(member("html/way", "link", target="../html"), member("html/page", content=b"first")))
    bench.store()
    bench.put(tar(member("html/way/page", content=b"second")))
    bench.store()
    assert (bench.tree / "html" / "way" / "page").read_bytes() == b"second"
    assert sorted(os.listdir(bench.tree / "html")) == ["way"]
    assert sorted(os.listdir(bench.cache)) == ["other", "request"]


def test_random_bytes_are_damage(bench: Bench) -> None:
    """Noise, gzipped or not, is told as damage."""
    noise = random.Random(4).randbytes(5000)
    for content in (noise, b"\x1f\x8b" + noise):
        bench.put(content)
        assert isinstance(refused(bench.store), WeblogDamagedError)


def test_folders_by_turns_stay_open_but_not_too_many(bench: Bench) -> None:
    """More folders than may be open at once are closed and opened again, and each file is where it has to be."""
    names = [f"folder {number % 50}/{'deep/' * (number % 7)}{number}" for number in range(700)]
    bench.put(tar(*(member(name, content=name.encode()) for name in names)))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 40, hard))
    try:
        bench.store()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert all((bench.tree / name).read_text() == name for name in names)


def test_members_of_one_folder_pass_the_same_rules_as_the_first(bench: Bench) -> None:
    """What follows another member of its folder is looked at as closely: its name, its kind, what it would replace."""
    start = [member("html/a", content=b"first"), member("html/b", content=b"x")]
    for name, kind in (("html/..", "folder"), ("html/../../x", "file"), ("html/a", "folder"), ("html/a/x", "file")):
        bench.put(tar(*start, member(name, kind)))
        assert isinstance(refused(bench.store), WeblogUnsafeError), name
    start = [member("./a"), member("./b")]
    bench.put(tar(*start, member("./weblog.tgz", content=b"in the place of the tar's copy")))
    assert "a name that Conveyor needs for itself" in refused(bench.store).message
    start = [member("html/a", content=b"first"), member("html/b", content=b"x")]
    bench.put(tar(*start, member("html/.", "folder"), member("html//c"), member("html/a", content=b"last")))
    bench.store()
    assert sorted(os.listdir(bench.tree / "html")) == ["a", "b", "c"]
    assert (bench.tree / "html" / "a").read_text() == "last"
