"""A corpus of tars that no pipeline makes: attacks on whoever unpacks them, and damage."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING, Any

from support.workspace import weblog_tar

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = 512
END = bytes(2 * BLOCK)
TYPES = {
    "file": tarfile.REGTYPE,
    "folder": tarfile.DIRTYPE,
    "link": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "fifo": tarfile.FIFOTYPE,
    "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE,
    "contiguous": tarfile.CONTTYPE,
    "unknown": b"?",
}


def member(name: str, kind: str = "file", content: bytes = b"", target: str = "", **more: Any) -> bytes:
    """One member as it stands in a tar; ``more`` are attributes of its header."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = TYPES[kind], target, len(content)
    for attribute, value in more.items():
        setattr(info, attribute, value)
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape") + _padded(content)


def tar(*members: bytes) -> bytes:
    """A whole tar of these members."""
    return b"".join(members) + END


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % BLOCK)


def header(name: bytes, kind: bytes, size: int, content: bytes = b"") -> bytes:
    """A header with the size that it claims, whatever follows it."""
    info = tarfile.TarInfo("x")
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT)[:BLOCK])
    block[:100] = name.ljust(100, b"\0")
    block[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)  # type: ignore[attr-defined]  # not in typeshed
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + _padded(content)


def raw(name: bytes, kind: bytes, size: int = 0, link: bytes = b"") -> bytes:
    """A header with a name and a link's text that tarfile would set right, and nothing after it."""
    block = bytearray(header(name, kind, size))
    block[157:257] = link.ljust(100, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def octal(number: int, width: int) -> bytes:
    """A number as it stands in a header."""
    return b"%0*o\0" % (width - 1, number)


def patched(content: bytes, fields: dict[int, bytes]) -> bytes:
    """A tar with fields of its first header replaced, by where they begin, and the checksum right."""
    block = bytearray(content)
    for at, value in fields.items():
        block[at : at + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block[:BLOCK])
    return bytes(block)


def pax(**said: str) -> bytes:
    """An extended header for the member that follows; ``_`` in a key stands for a dot."""
    return records(*((key.replace("_", "."), value) for key, value in said.items()))


def records(*said: tuple[str, str]) -> bytes:
    """An extended header for the member that follows, of keywords and values in this order."""
    lines = b""
    for key, value in said:
        line = f" {key}={value}\n".encode("utf-8", "surrogateescape")
        length = len(line)
        while length != len(line) + len(str(length)):
            length = len(line) + len(str(length))
        lines += str(length).encode() + line
    return header(b"pax", b"x", len(lines), lines)


def _long_chain() -> bytes:
    """CVE-2025-4517: a path that is too long to be resolved, made short again by links, and then led out."""
    steps, name = "abcdefghijklmnop", "d" * 247
    members, path = [], ""
    for step in steps:
        members += [member(path + name, "folder"), member(path + step, "link", target=name)]
        path += name + "/"
    link = "/".join(steps) + "/" + "l" * 254
    members += [
        member(link, "link", target="../" * len(steps)),
        member("escape", "link", target=f"{link}/../../../../etc"),
        member("hard", "hard link", target="escape/passwd"),
        member("hard", content=b"overwritten"),
    ]
    return tar(*members)


def global_header(number: int) -> bytes:
    """A global header of some 900 kB, all of whose keys are its own."""
    records = b"".join(b"10015 k%03d%04d=%s\n" % (number, key, b"v" * 9999) for key in range(90))
    return header(b"pax", b"g", len(records), records)


def broken(at: int, field: bytes) -> bytes:
    """A member with one of its header's fields replaced, and its checksum right."""
    block = bytearray(member("a"))
    block[at : at + len(field)] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


UNSAFE: dict[str, Callable[[], bytes]] = {
    "absolute name": lambda: tar(member("/etc/passwd", content=b"x")),
    "absolute pax name": lambda: tar(pax(path="/etc/passwd") + member("a")),
    "two slashes": lambda: tar(member("//etc/passwd")),
    "dots first": lambda: tar(member("../outside")),
    "dots inside": lambda: tar(member("a/../../outside")),
    "dots that come back": lambda: tar(member("a/../b")),
    "dots of a folder": lambda: tar(member("..", "folder")),
    "pax dots": lambda: tar(pax(path="a/../../outside") + member("a")),
    "no name": lambda: tar(header(b"", b"0", 0)),
    "NUL in a pax name": lambda: tar(pax(path="a\0b") + member("a")),
    "absolute link": lambda: tar(member("a", "link", target="/etc")),
    "link out": lambda: tar(member("a", "link", target="../outside")),
    "link out from below": lambda: tar(member("a/b", "link", target="../../outside")),
    "link to nothing": lambda: tar(member("a", "link")),
    "link down and up through a link": lambda: tar(
        member("c/d", "folder"), member("b", "link", target="c/d"), member("a", "link", target="b/../..")
    ),
    "chain of links": lambda: tar(
        member("a/b/c", "folder"), member("l", "link", target="a/b/c"), member("m", "link", target="l/../../../..")
    ),
    "endless link text": lambda: tar(pax(linkpath="./" * 5000 + "a") + member("l", "link", target="a")),
    "file through a link": lambda: tar(member("a", "link", target="."), member("a/b")),
    "file through a link to a folder": lambda: tar(
        member("f", "folder"), member("a", "link", target="f"), member("a/b", content=b"x")
    ),
    "folder through a link": lambda: tar(member("a", "link", target="."), member("a/b", "folder")),
    "link through a link": lambda: tar(member("a", "link", target="."), member("a/b", "link", target="x")),
    "file through a file": lambda: tar(member("a", content=b"x"), member("a/b")),
    "link replaced by a folder": lambda: tar(member("a", "link", target="b"), member("a", "folder")),
    "folder replaced by a link": lambda: tar(member("a", "folder"), member("a", "link", target="b")),
    "implied folder replaced by a link": lambda: tar(member("a/b"), member("a", "link", target="b")),
    "hard link outside": lambda: tar(member("a", "hard link", target="/etc/passwd")),
    "hard link up": lambda: tar(member("a", "hard link", target="../outside")),
    "hard link to nothing": lambda: tar(member("a", "hard link")),
    "hard link through a link": lambda: tar(
        member("f/x"), member("l", "link", target="f"), member("a", "hard link", target="l/x")
    ),
    "hard link to a folder": lambda: tar(member("f", "folder"), member("a", "hard link", target="f")),
    "hard link to what comes": lambda: tar(member("a", "hard link", target="b"), member("b")),
    "hard link to itself": lambda: tar(member("a", "hard link", target="a")),
    "CVE-2025-4517": _long_chain,
    # -4330: a hard link to a link, which becomes one of the link's target; -4138: a link made on the name of a folder
    "CVE-2025-4330": lambda: tar(
        member("a/b", "folder"),
        member("a/b/l", "link", target="../../.."),
        member("h", "hard link", target="a/b/l"),
    ),
    "CVE-2025-4138": lambda: tar(
        member("a", "folder"), member("a/l", "link", target="."), member("a/l/../../../x", "link", target="/etc")
    ),
    "CVE-2007-4559": lambda: tar(member("../../../../etc/crontab", content=b"x")),
    "CVE-2024-12718": lambda: tar(
        member("a", "folder"), member("a/l", "link", target=".."), member("a/l/../x", "folder", mode=0o777, mtime=1)
    ),
    "CVE-2025-8194": lambda: tar(member("a"), header(b"b", b"0", -512)),
    "CVE-2026-7774": lambda: tar(member("d", "folder"), raw(b"", b"2", link=b"d"), raw(b"./", b"2", link=b"..")),
    "CVE-2026-7774, a name like a folder's": lambda: tar(raw(b"a/", b"2", link=b"."), member("a/x", content=b"x")),
    "CVE-2026-11940": lambda: tar(
        member("a/b/c", "folder"),
        member("a/b/c/l", "link", target="../../.."),
        member("h", "hard link", target="a/b/c/l"),
    ),
    "CVE-2026-19672": lambda: tar(member("../outside/../request/a", content=b"x")),
    "CVE-2026-53655": lambda: tar(
        pax(size="1024") + header(b"././@LongLink", b"L", 4, b"long"), member("a", content=b"x" * 1024)
    ),
    "two names": lambda: tar(pax(path="a") + header(b"././@LongLink", b"L", 1, b"b"), member("c")),
    "one name twice in a header": lambda: tar(header(b"pax", b"x", 18, b"9 path=a\n9 path=b\n"), member("c")),
    "a name for all members": lambda: tar(header(b"pax", b"g", 9, b"9 path=a\n"), member("b"), member("c")),
    "a size for all members": lambda: tar(header(b"pax", b"g", 9, b"9 size=1\n"), member("b"), member("c")),
    "link with content": lambda: tar(raw(b"a", b"2", 1024, b"b"), member("hidden"), member("c")),
    "folder with content": lambda: tar(raw(b"a/", b"5", 512), member("c")),
    "hard link with content in a pax header": lambda: tar(
        member("a") + pax(size="512") + raw(b"b", b"1", link=b"a"), member("c")
    ),
    "file with a folder's name": lambda: tar(raw(b"a/", b"0"), member("b")),
    "old folder with content": lambda: tar(raw(b"a/", b"\0", 512), member("b")),
    "GNU names": lambda: tar(raw(b"a", b"N"), member("b")),
    "hard link to a link that may not stand there": lambda: tar(
        member("a/l", "link", target="../x"), member("h", "hard link", target="a/l")
    ),
    "second volume": lambda: tar(raw(b"a", b"M"), member("b")),
    "many records": lambda: tar(header(b"pax", b"x", 606, b"6 a=b\n" * 101), member("b")),
    "fifo": lambda: tar(member("a", "fifo")),
    "character device": lambda: tar(member("a", "character device", devmajor=1, devminor=3)),
    "block device": lambda: tar(member("a", "block device", devmajor=8)),
    "pax sparse": lambda: tar(
        pax(GNU_sparse_major="1", GNU_sparse_minor="0", GNU_sparse_realsize="99999999999", GNU_sparse_name="a")
        + member("a", content=b"1\n0\n1\n" + bytes(506))
    ),
    "long name": lambda: tar(member("n" * 256)),
    "long path": lambda: tar(member("/".join(["n" * 200] * 21))),
    "deep path": lambda: tar(member("/".join("n" * 65))),
    "long link text": lambda: tar(member("a", "link", target="/".join(["n" * 200] * 21))),
    "pax header of gigabytes": lambda: tar(header(b"pax", b"x", 5_000_000_000)),
    "long name of gigabytes": lambda: tar(header(b"././@LongLink", b"L", 5_000_000_000)),
    "pax header of less than nothing": lambda: tar(header(b"pax", b"x", -600), member("a")),
    "long name of less than nothing": lambda: tar(header(b"././@LongLink", b"L", -600), member("a")),
    "file of less than nothing": lambda: tar(pax(size="-5") + member("a")),
    "much less than nothing": lambda: tar(member("a"), header(b"b", b"0", -(1 << 20))),
    "global headers without end": lambda: b"".join(global_header(number) for number in range(4)) + tar(member("a")),
    "name of Conveyor's own": lambda: tar(member(".conveyor.json", content=b"{}")),
    "name of the tar": lambda: tar(member("weblog.tgz")),
    "name of the tar, spelt otherwise": lambda: tar(member("./weblog.tgz/x")),
    "name that Conveyor writes to": lambda: tar(member("..conveyor.json.new", "folder")),
}

DAMAGED: dict[str, Callable[[], bytes]] = {
    "empty": bytes,
    "one byte": lambda: b"x",
    "text": lambda: b"<html>not found</html>" * 100,
    "only the end": lambda: END,
    "gzip of nothing": lambda: gzip.compress(b""),
    "gzip of text": lambda: gzip.compress(b"text" * 1000),
    "gzip mark only": lambda: b"\x1f\x8b",
    "truncated gzip": lambda: weblog_tar()[:-30],
    "gzip with a wrong checksum": lambda: weblog_tar()[:-8] + b"\0\0\0\0" + weblog_tar()[-4:],
    "gzip with a broken middle": lambda: weblog_tar()[:100] + b"\xff" * 20 + weblog_tar()[120:],
    "garbage after gzip": lambda: weblog_tar() + b"garbage",
    "truncated in a file": lambda: tar(member("a", content=b"x" * 5000))[:3000],
    "truncated before the end": lambda: member("a", content=b"x" * 1000),
    "truncated in a header": lambda: member("a") + member("b")[:300],
    "broken header in the middle": lambda: tar(member("a"), b"\xff" * BLOCK, member("b")),
    "lost header in the middle": lambda: tar(member("a"), bytes(BLOCK), member("b")),
    "time that is no number": lambda: tar(pax(mtime="nan") + member("a")),
    "file of a terabyte": lambda: tar(header(b"a", b"0", 10_000_000)),
    "record of no length (CVE-2019-20907)": lambda: tar(header(b"pax", b"x", 6, b"0 a=b\n"), member("a")),
    "record that goes on too long": lambda: tar(header(b"pax", b"x", 6, b"9 a=b\n"), member("a")),
    "record without a key": lambda: tar(header(b"pax", b"x", 5, b"5 =b\n"), member("a")),
    "a million digits (CVE-2024-6232)": lambda: tar(header(b"pax", b"x", 1_000_000, b"1" * 1_000_000), member("a")),
    "a million digits and a keyword": lambda: tar(
        header(b"pax", b"x", 1_000_000, b"1" * 999_987 + b" GNU.sparse.x"), member("a")
    ),
    "size that is no number": lambda: tar(pax(size="1_0") + member("a")),
    "size in a header that is no number": lambda: tar(broken(124, b"0000000000x\0")),
    "mode that is no number": lambda: tar(broken(100, b"rw-r--r\0")),
    "time in a header that is no number": lambda: tar(broken(136, b"yesterday!!\0")),
    "checksum that is wrong": lambda: tar(member("a")[:148] + b"000000\0 " + member("a")[156:]),
    "header for nobody": lambda: tar(member("a"), pax(comment="x")),
    "nested headers": lambda: b"".join(pax(comment="x") for _ in range(900)) + tar(member("a")),
}

SAFE: dict[str, Callable[[], bytes]] = {
    "link down and up": lambda: tar(member("b", "folder"), member("a", "link", target="b/..")),
    "link that goes down and up, and down": lambda: tar(
        member("f/a"), member("b"), member("f/l", "link", target="../f/../b")
    ),
    "link replaced by a file": lambda: tar(member("a", "link", target="b"), member("a", content=b"x")),
    "link replaced under another spelling": lambda: tar(member("a", "link", target="b"), member("./a/.")),
    "file replaced by a link": lambda: tar(member("a"), member("a", "link", target="b")),
    "hard link to a link": lambda: tar(member("l", "link", target="x"), member("a", "hard link", target="l")),
    "file over a hard link": lambda: tar(member("b"), member("a", "hard link", target="b"), member("a", content=b"x")),
    "sparse file of nothing": lambda: tar(header(b"a", b"S", 0)),
    "volume label": lambda: tar(raw(b"a", b"V"), member("b")),
    "GNU folder": lambda: tar(raw(b"a/", b"D"), member("b")),
    "Solaris header": lambda: tar(header(b"pax", b"X", 9, b"9 path=a\n"), member("b")),
    "one file": lambda: tar(member("a", content=b"x")),
    "folder only": lambda: tar(member("html", "folder")),
    "root and dots": lambda: tar(member("./", "folder"), member("./html", "folder"), member("./html/./a")),
    "implied folders": lambda: tar(member("a/b/c/d", content=b"x")),
    "folder twice": lambda: tar(member("a", "folder"), member("a/b"), member("a", "folder")),
    "file twice": lambda: tar(member("a", content=b"first"), member("b"), member("a", content=b"last")),
    "hard link of a file that comes twice": lambda: tar(
        member("a", content=b"first"), member("b", "hard link", target="a"), member("a", content=b"last")
    ),
    "hard link of a hard link": lambda: tar(
        member("a", content=b"x"), member("b", "hard link", target="./a"), member("c/d", "hard link", target="b")
    ),
    "link up and down": lambda: tar(member("a/b/l", "link", target="../../c/d"), member("c/d")),
    "link to the root": lambda: tar(member("a/l", "link", target="..")),
    "link to here": lambda: tar(member("l", "link", target=".")),
    "link to nothing yet": lambda: tar(member("l", "link", target="later"), member("later")),
    "link in a circle": lambda: tar(member("l", "link", target="m"), member("m", "link", target="l")),
    "setuid": lambda: tar(member("a", content=b"#!", mode=0o7777)),
    "mode 0": lambda: tar(member("a", mode=0), member("f", "folder", mode=0), member("f/a", mode=0)),
    "contiguous": lambda: tar(member("a", "contiguous", content=b"x")),
    "name that is not UTF-8": lambda: tar(member("\udcff\udcfe\n", content=b"x")),
    "name that is hard to print": lambda: tar(member("Jodrell Bänk – 観測\n\x1b[31m", content=b"x")),
    "long GNU name": lambda: tar(header(b"././@LongLink", b"L", 240, b"f/" * 20 + b"n" * 200), header(b"cut", b"0", 0)),
    "old folder": lambda: tar(raw(b"a/", b"\0"), member("a/b")),
    "CVE-2025-13462, a long name that ends otherwise": lambda: tar(
        header(b"././@LongLink", b"L", 130, b"n" * 130) + raw(b"n" * 99 + b"/", b"\0"), member("b")
    ),
    "folder through dots that say nothing": lambda: tar(member("././a/./b//c", content=b"x")),
    "hard link with its file's size": lambda: tar(member("a", content=b"x" * 600), raw(b"b", b"1", 600, b"a")),
    "a prefix": lambda: tar(broken(345, b"html/folder"), member("b")),
    "no magic": lambda: tar(broken(257, bytes(8))),
    "pax header that is filled up": lambda: tar(header(b"pax", b"x", 512, b"9 path=b\n"), member("a")),
    "a header for all members": lambda: tar(header(b"pax", b"g", 13, b"13 comment=x\n"), member("a"), member("b")),
    "large numbers in binary": lambda: tar(member("a", uid=1 << 40, mtime=1 << 33)),
    "long pax name": lambda: tar(member("/".join(["n" * 250] * 10), content=b"x")),
    "long link": lambda: tar(member("l", "link", target="n" * 250)),
    "time without end": lambda: tar(pax(mtime="inf") + member("a")),
    "huge time": lambda: tar(pax(mtime="1e300") + member("a")),
    "time before time": lambda: tar(pax(mtime="-99999999999999.5") + member("a")),
    "owner nobody knows": lambda: tar(member("a", uid=2**40, gid=2**40, uname="x" * 200, gname="y")),
    "zeros after the end": lambda: tar(member("a")) + bytes(10240),
    "garbage after the end": lambda: tar(member("a")) + b"garbage",
    "two gzip members": lambda: gzip.compress(tar(member("a"))[:700]) + gzip.compress(tar(member("a"))[700:]),
    "as the pipeline makes it": weblog_tar,
    "not gzipped": lambda: weblog_tar("w"),
}


def bomb(size: int) -> bytes:
    """A gzipped tar with one file of so many zeros."""
    raw = io.BytesIO()
    with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1) as stream:
        stream.write(header(b"zeros", b"0", size))
        for _ in range(size >> 20):
            stream.write(bytes(1 << 20))
        stream.write(END)
    return raw.getvalue()
