"""The weblog cache: what the pipeline makes, unpacked once, replaced whole, readable for the web server."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from xxhash import xxh3_128_hexdigest

from conveyor.errors import ConflictError, WeblogChangingError, WeblogDamagedError
from conveyor.filesystem import syscalls
from conveyor.filesystem.posix import FileSystem
from conveyor.request.places import Places
from conveyor.weblog.cache import WeblogCache
from conveyor.weblog.cache_look import inspect_cache
from conveyor.weblog.limits import Limits
from conveyor.weblog.source import CopyingTar
from support.inventory import inventory
from support.tars import member, tar
from support.unprivileged import as_nobody
from support.workspace import HTML, weblog_tar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conveyor.weblog.cache import CacheResult
    from support.workspace import Workspace

LIMITS = Limits(bytes=10**9, members=1000, ratio=200)


def no_exchange(*_: object) -> None:
    raise OSError(22, "Invalid argument")


@pytest.fixture(params=["exchange", "renames"])
def fs(request: pytest.FixtureRequest) -> FileSystem:
    """A file system that has the exchange, and one that refuses it as Lustre does."""
    return FileSystem() if request.param == "exchange" else FileSystem(exchange=no_exchange)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "products").mkdir()
    return Places("request", tmp_path / "spool", tmp_path / "qa2", tmp_path / "cache", relative_links=True)


def store(fs: FileSystem, places: Places, content: bytes | None = None, name: str = "weblog.tgz") -> CacheResult:
    products = places.spool.parent / "products"
    if content is not None:
        (products / name).write_bytes(content)
        os.utime(products / name, (1_600_000_000, 1_600_000_000))
    with fs.open_root(products) as folder:
        return WeblogCache(fs, places, LIMITS).store(folder, name)


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_a_weblog_is_unpacked_with_its_links(fs: FileSystem, places: Places, mode: str) -> None:
    """index.html stays a relative link, the CASA log a hard link, and the tar stands beside the tree."""
    content = weblog_tar(mode)
    cached = store(fs, places, content)
    html = places.weblog / HTML
    assert cached.changed
    assert os.readlink(html / "index.html") == "t1-1.html"
    assert (html / "index.html").read_text() == "observation overview"
    assert (html / "casa.log").stat().st_ino == (html / "stage1" / "casapy.log").stat().st_ino
    assert (html / "t1-1.html").stat().st_mtime == 1_631_306_174
    assert (places.weblog / "weblog.tgz").read_bytes() == content
    assert sorted(os.listdir(places.weblog)) == [".conveyor.json", "pipeline-20210910T203614", "weblog.tgz"]
    assert os.listdir(places.weblog_cache) == ["request"]


def test_a_long_weblog_is_as_any_other(fs: FileSystem, places: Places) -> None:
    """One that a process of its own inflates has its whole tree, its copy byte for byte, and the digest of that."""
    plots = {f"plot{number}.png": random.Random(number).randbytes(300_000 + number) for number in range(50)}
    content = weblog_tar(plots=plots)
    assert len(content) > 10_000_000
    assert store(fs, places, content).totals.digest == f"xxh3-128:{xxh3_128_hexdigest(content)}"
    assert (places.weblog / "weblog.tgz").read_bytes() == content
    assert {path.name: path.read_bytes() for path in (places.weblog / HTML / "plots").iterdir()} == plots


def test_a_tar_that_can_be_cloned_is_not_copied(
    fs: FileSystem, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file system shares extents, the tar in the cache is a clone; the tree and the digest are as ever."""
    content = weblog_tar("w") + bytes(5000)
    monkeypatch.setattr(syscalls, "clone", lambda source, copy: os.sendfile(copy, source, 0, len(content)))
    monkeypatch.setattr(CopyingTar, "read", lambda *_: pytest.fail("the tar was copied"))
    assert store(fs, places, content).totals.digest == f"xxh3-128:{xxh3_128_hexdigest(content)}"
    assert (places.weblog / "weblog.tgz").read_bytes() == content
    assert (places.weblog / HTML / "index.html").is_file()


def test_a_tar_that_grows_as_it_is_cloned_is_tried_again(
    fs: FileSystem, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clone of another length than the tar had is of a tar that somebody still writes."""
    content = weblog_tar("w") + bytes(5000)
    monkeypatch.setattr(syscalls, "clone", lambda source, copy: os.sendfile(copy, source, 0, len(content) - 1))
    with pytest.raises(WeblogChangingError):
        store(fs, places, content)
    assert not places.weblog_cache.exists()


def test_the_receipt_says_what_was_cached(fs: FileSystem, places: Places) -> None:
    """The receipt has the tar's name and digest, and what it came to."""
    content = weblog_tar()
    totals = store(fs, places, content).totals
    receipt = json.loads((places.weblog / ".conveyor.json").read_text())
    assert receipt == {
        "schema": "conveyor-weblog/1",
        "tar": "weblog.tgz",
        "digest": f"xxh3-128:{xxh3_128_hexdigest(content)}",
        "bytes": 20 + 8 + 3 + 999,
        "members": 6,
        "spool": str(places.spool),
        "entries": 9,
        "page": f"{HTML}/index.html",
    }
    assert (totals.bytes, totals.members) == (receipt["bytes"], receipt["members"])


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o027, 0o640, 0o750), (0o002, 0o664, 0o775)]
)
def test_what_is_unpacked_is_readable_as_the_umask_says(places: Places, umask: int, file: int, folder: int) -> None:
    """Modes of 0600 in the tar keep nobody out: every file and folder has the mode that the umask leaves."""
    before = os.umask(umask)
    try:
        store(FileSystem(), places, weblog_tar())
    finally:
        os.umask(before)
    for path in [places.weblog_cache, *places.weblog_cache.rglob("*")]:
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode):
            assert stat.S_IMODE(mode) == (folder if stat.S_ISDIR(mode) else file), path


def test_the_same_tar_is_not_unpacked_again(fs: FileSystem, places: Places) -> None:
    """Where the same tar, by digest, is cached, nothing is touched: the tree is the very same."""
    first = store(fs, places, weblog_tar())
    before, inode = inventory(places.weblog_cache), places.weblog.stat().st_ino
    again = store(fs, places)
    assert (first.changed, again.changed) == (True, False)
    assert again.totals == first.totals
    assert places.weblog.stat().st_ino == inode
    assert inventory(places.weblog_cache) == before


def contents(top: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in top.rglob("*")}


def lose_a_page(places: Places) -> None:
    (places.weblog / HTML / "stage1" / "plot.png").unlink()


def lose_the_first_page(places: Places) -> None:
    (places.weblog / HTML / "index.html").unlink()


def lose_the_page_of_a_link(places: Places) -> None:
    """As a cleaner does that removes old files, and no links."""
    (places.weblog / HTML / "t1-1.html").unlink()


def lose_the_tree(places: Places) -> None:
    shutil.rmtree(places.weblog / HTML.split("/")[0])


def lose_the_tar(places: Places) -> None:
    (places.weblog / "weblog.tgz").unlink()


def have_an_old_receipt(places: Places) -> None:
    """As release 0.1.0 wrote it."""
    path = places.weblog / ".conveyor.json"
    receipt = json.loads(path.read_text())
    path.write_text(json.dumps({key: receipt[key] for key in receipt if key not in ("entries", "page")}))


@pytest.mark.parametrize("lose", [lose_a_page, lose_the_first_page, lose_the_tree, lose_the_tar, have_an_old_receipt])
def test_a_weblog_that_lost_something_is_unpacked_again(
    fs: FileSystem, places: Places, lose: Callable[[Places], None]
) -> None:
    """A receipt is believed if the tree has as much as it says; an old one says too little."""
    store(fs, places, weblog_tar())
    before = contents(places.weblog)
    lose(places)
    assert store(fs, places).changed
    assert contents(places.weblog) == before
    assert not store(fs, places).changed


@pytest.mark.parametrize(
    ("lose", "at_a_glance", "counted"),
    [
        (lose_a_page, True, False),
        (lose_the_first_page, False, False),
        (lose_the_page_of_a_link, False, False),
        (lose_the_tree, False, False),
        (have_an_old_receipt, True, True),
    ],
)
def test_a_look_at_the_cache_sees_what_was_lost(
    fs: FileSystem, places: Places, lose: Callable[[Places], None], at_a_glance: bool, counted: bool
) -> None:
    """A glance misses the first page alone, so that it is quick; a thorough look counts all of them."""
    store(fs, places, weblog_tar())
    for thorough in (False, True):
        seen = inspect_cache(fs, places, thorough=thorough)
        assert (seen.cached, seen.lost, seen.page) == (True, False, f"{HTML}/index.html")
    lose(places)
    for thorough, cached in ((False, at_a_glance), (True, counted)):
        seen = inspect_cache(fs, places, thorough=thorough)
        assert (seen.cached, seen.lost, seen.blocked) == (cached, not cached, False)


def test_a_weblog_without_a_first_page_is_whole_as_long_as_it_has_something(fs: FileSystem, places: Places) -> None:
    """Not every weblog has an index.html."""
    store(fs, places, tar(member("html/t1-1.html", content=b"x")))
    assert inspect_cache(fs, places).cached
    assert inspect_cache(fs, places).page is None
    shutil.rmtree(places.weblog / "html")
    assert inspect_cache(fs, places).lost


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to act as another account")
@pytest.mark.parametrize("lose", [None, lose_a_page])
def test_a_folder_that_was_closed_is_opened_again(
    public_workspace: Workspace, lose: Callable[[Places], None] | None
) -> None:
    """The account that made a weblog mends its modes, and can replace it if a page beside is lost."""
    fs, root, content = FileSystem(), public_workspace.root, weblog_tar()
    (root / "products").mkdir()
    places = Places("request", root / "request", root / "qa2", root / "cache", relative_links=True)
    store(fs, places, content)
    if lose:
        lose(places)
    (places.weblog / HTML).chmod(0)
    changed = as_nobody(root)(lambda: store(fs, places).changed)
    assert changed is (lose is not None)
    assert (places.weblog / HTML).stat().st_mode & 0o500 == 0o500
    assert os.listdir(places.weblog_cache) == ["request"]


def test_what_somebody_added_to_a_weblog_stays(fs: FileSystem, places: Places) -> None:
    """A file beside the pages is no reason to make them again."""
    store(fs, places, weblog_tar())
    (places.weblog / ".htaccess").write_text("x")
    assert not store(fs, places).changed
    assert (places.weblog / ".htaccess").exists()


def test_the_page_is_the_first_one_from_the_top(fs: FileSystem, places: Places) -> None:
    """Of several pages of that name it is the nearest to the top, wherever it comes in the tar; no folder is one."""
    pages = [
        member("a/b/index.html", content=b"x"),
        member("index.html/x"),
        member("z/index.html"),
        member("b/index.html"),
    ]
    assert store(fs, places, tar(*pages)).totals.page == "z/index.html"


def test_a_new_tar_replaces_the_tree_whole(fs: FileSystem, places: Places) -> None:
    """Nothing of the earlier tree is left, with the exchange and without; who holds the old one open keeps it."""
    store(fs, places, weblog_tar())
    (places.weblog / HTML / "only in the old one").touch()
    with fs.open_root(places.weblog / HTML) as reader:
        page = fs.open_file(reader, "t1-1.html")
    cached = store(fs, places, weblog_tar(page="the second run"))
    with page:
        assert page.read() == b"observation overview"
    assert cached.changed
    assert (places.weblog / HTML / "t1-1.html").read_text() == "the second run"
    assert not (places.weblog / HTML / "only in the old one").exists()
    assert os.listdir(places.weblog_cache) == ["request"]


def test_a_tar_of_another_name_replaces_the_tree_too(fs: FileSystem, places: Places) -> None:
    """The tar in the cache has the name that the pipeline gave it."""
    store(fs, places, weblog_tar())
    assert store(fs, places, weblog_tar(), name="uid___A001.weblog.tar.gz").changed
    assert not (places.weblog / "weblog.tgz").exists()
    assert (places.weblog / "uid___A001.weblog.tar.gz").is_file()


def test_other_requests_in_the_cache_are_left_alone(fs: FileSystem, places: Places) -> None:
    """Only what belongs to the request is touched."""
    for name in ("another", ".another.conveyor", "request2"):
        (places.weblog_cache / name).mkdir(parents=True)
        (places.weblog_cache / name / "file").write_text("x")
    store(fs, places, weblog_tar())
    store(fs, places, weblog_tar(page="new"))
    assert sorted(os.listdir(places.weblog_cache)) == [".another.conveyor", "another", "request", "request2"]


def test_what_a_crash_left_is_removed_and_what_it_set_aside_comes_back(fs: FileSystem, places: Places) -> None:
    """A half-unpacked tree goes; an old tree that was to be replaced is in place again, even if the new tar is bad."""
    store(fs, places, weblog_tar())
    whole = inventory(places.weblog)
    os.rename(places.weblog, places.weblog_cache / ".request.replaced")
    (places.weblog_cache / ".request.conveyor" / "half").mkdir(parents=True)
    assert inspect_cache(fs, places).has_leftovers
    with pytest.raises(WeblogDamagedError):
        store(fs, places, b"not a tar")
    assert inventory(places.weblog) == whole
    assert not inspect_cache(fs, places).has_leftovers


def test_tidying_needs_no_tar(fs: FileSystem, places: Places) -> None:
    """What a crash left is removed by itself too; where there is nothing, nothing is made."""
    cache = WeblogCache(fs, places, LIMITS)
    assert not cache.clean_up()
    assert not places.weblog_cache.exists()
    (places.weblog_cache / ".request.conveyor" / "half").mkdir(parents=True)
    assert cache.clean_up()
    assert os.listdir(places.weblog_cache) == []


@pytest.mark.parametrize("receipt", ["", "[]", "null", '{"sha256": "another", "tar": "weblog.tgz"}', '{"tar": 1}'])
def test_a_receipt_that_cannot_be_believed_is_made_anew(fs: FileSystem, places: Places, receipt: str) -> None:
    """A tree whose receipt says nothing of use is unpacked again."""
    store(fs, places, weblog_tar())
    (places.weblog / ".conveyor.json").write_text(receipt)
    assert store(fs, places).changed
    assert json.loads((places.weblog / ".conveyor.json").read_text())["members"] == 6


def test_a_receipt_without_its_weight_is_made_anew(fs: FileSystem, places: Places) -> None:
    """The right digest alone is not enough."""
    content = weblog_tar()
    store(fs, places, content)
    digest = f"xxh3-128:{xxh3_128_hexdigest(content)}"
    (places.weblog / ".conveyor.json").write_text(json.dumps({"digest": digest, "tar": "weblog.tgz"}))
    assert store(fs, places).changed


def test_a_weblog_whose_receipt_has_an_older_digest_stays(fs: FileSystem, places: Places) -> None:
    """The digest that earlier programs wrote is as good: the weblog stays as it is, until the tar is another one."""
    content = weblog_tar()
    store(fs, places, content)
    path = places.weblog / ".conveyor.json"
    receipt = json.loads(path.read_text())
    del receipt["digest"]
    path.write_text(json.dumps(receipt | {"sha256": hashlib.sha256(content).hexdigest()}))
    before = inventory(places.weblog_cache)
    assert not store(fs, places).changed
    assert inventory(places.weblog_cache) == before
    assert store(fs, places, weblog_tar(plots={"new.png": b"new"})).changed


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_not_ours_in_the_cache_is_never_replaced(fs: FileSystem, places: Places, kind: str) -> None:
    """A folder without our receipt, a file or a link in the place of the weblog is refused and stays."""
    places.weblog_cache.mkdir()
    (places.weblog_cache / "elsewhere").mkdir()
    if kind == "folder":
        places.weblog.mkdir()
        (places.weblog / "index.html").write_text("somebody's")
    elif kind == "file":
        places.weblog.write_text("somebody's")
    else:
        places.weblog.symlink_to("elsewhere")
    before = inventory(places.weblog_cache)
    with pytest.raises(ConflictError, match="weblog"):
        store(fs, places, weblog_tar())
    assert inventory(places.weblog_cache) == before


def test_the_cache_is_made_but_not_the_folder_above_it(fs: FileSystem, places: Places) -> None:
    """A missing workspace means that something is not mounted; it is not made up."""
    store(fs, places, weblog_tar())
    lost = Places(
        "request", places.spool, places.qa_area, places.spool.parent / "unmounted" / "cache", relative_links=True
    )
    with pytest.raises(FileNotFoundError) as caught:
        store(fs, lost)
    assert caught.value.filename == str(places.spool.parent / "unmounted")
    assert not (places.spool.parent / "unmounted").exists()


def test_a_refused_tar_leaves_not_even_an_empty_cache(fs: FileSystem, places: Places) -> None:
    """Where there was no cache, a refused tar makes none."""
    with pytest.raises(WeblogDamagedError):
        store(fs, places, weblog_tar()[:-20])
    assert not places.weblog_cache.exists()


def test_a_weblog_is_forgotten_with_its_tar(fs: FileSystem, places: Places) -> None:
    """Forgetting removes the request's folder in the cache; a second time there is nothing to forget."""
    store(fs, places, weblog_tar())
    cache = WeblogCache(fs, places, LIMITS)
    assert cache.remove()
    assert not cache.remove()
    assert os.listdir(places.weblog_cache) == []


def test_the_weblog_of_another_request_of_that_name_is_left_alone(fs: FileSystem, places: Places) -> None:
    """A request in another spool area that shares the cache does not touch it, as long as the first one is there."""
    places.spool.mkdir()
    content = weblog_tar()  # once: gzip's header has the time
    store(fs, places, content)
    (places.spool.parent / "another").mkdir()
    another = replace(places, spool=places.spool.parent / "another")
    before = inventory(places.weblog_cache)
    with pytest.raises(ConflictError, match="is the weblog of another request of that name"):
        store(fs, another, weblog_tar(page="another"))
    with pytest.raises(ConflictError, match="is the weblog of another request of that name"):
        WeblogCache(fs, another, LIMITS).remove()
    assert inventory(places.weblog_cache) == before
    (places.spool.parent / "alias").symlink_to("spool")
    assert not store(fs, replace(places, spool=places.spool.parent / "alias"), content).changed
    places.spool.rmdir()
    assert store(fs, another, weblog_tar(page="another")).changed


@pytest.mark.parametrize("name", [".request.conveyor", ".request.replaced"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
def test_what_stands_under_a_passing_name_is_removed_and_never_followed(
    fs: FileSystem, places: Places, name: str, kind: str
) -> None:
    """Somebody's link or file in the place of a tree that is being made goes; what the link leads to stays."""
    victim = places.spool.parent / "victim"
    victim.mkdir()
    (victim / "file").write_text("x")
    before = inventory(victim)
    places.weblog_cache.mkdir()
    if kind == "file":
        (places.weblog_cache / name).write_text("x")
    else:
        (places.weblog_cache / name).symlink_to(victim if kind == "link" else "nowhere")
    assert store(fs, places, weblog_tar()).changed
    assert os.listdir(places.weblog_cache) == ["request"]
    assert inventory(victim) == before
