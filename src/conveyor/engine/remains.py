"""What a conveyance keeps in ``.conveyor`` beside a directory's name for the time being: above all a copy, and its mark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from conveyor.filesystem.fingerprint import fingerprint
from conveyor.filesystem.port import Kind
from conveyor.filesystem.tree import compare_trees

if TYPE_CHECKING:
    from conveyor.engine.ends import End, Ends

#: A link that is about to be put in place; a copy that is being made; a source or a copy on its way out.
LINK, INCOMING, OUTGOING = ".link", ".incoming", ".outgoing"
#: The mark of a verified copy, beside the copy, from before it is swapped in until its source is known to be as it was read.
COPIED = ".copied"
REMAINS = (LINK, INCOMING, OUTGOING, COPIED)


@dataclass(frozen=True)
class CopyMark:
    """Which directory is the verified copy of which: their inodes, and their fingerprints at that moment."""

    copy: int
    source: int
    copy_print: str
    source_print: str

    @property
    def text(self) -> str:
        return f"copy {self.copy} {self.copy_print} of {self.source} {self.source_print}"

    @classmethod
    def parse(cls, text: str) -> CopyMark | None:
        match text.split():
            case ["copy", copy, copy_print, "of", source, source_print] if copy.isdecimal() and source.isdecimal():
                return cls(int(copy), int(source), copy_print, source_print)
        return None


def _read_mark(end: End, name: str) -> CopyMark | None:
    """The mark of the copy at an end; None where there is none that can be read."""
    if end.inner_kind(name + COPIED) is not Kind.LINK:
        return None
    return CopyMark.parse(end.fs.read_link(end.own, name + COPIED))


def _retired(end: End, name: str, inode: int) -> str | None:
    """The name in ``.conveyor`` that a directory has on its way out; None where it is not there."""
    for inner_name in (name + OUTGOING, name + LINK):  # a crash may leave it under the link's, half-way
        entry = end.fs.look(end.inner, inner_name) if end.inner else None
        if entry is not None and entry.kind is Kind.DIRECTORY and entry.inode == inode:
            return inner_name
    return None


@dataclass(frozen=True)
class CopySurvey:
    """A verified copy that was swapped in, and whose source is not gone yet: an interrupted run left both.

    ``at`` is the copy's end; ``in_place`` says whether the source still stands under its name at the other one, or in
    ``.conveyor``. ``copy_changed`` and ``source_changed`` say whether somebody has written to them since they were equal.
    """

    at: str
    in_place: bool
    copy_changed: bool = False
    source_changed: bool = False

    @property
    def torn(self) -> bool:
        return self.copy_changed and self.source_changed


def survey_copy(ends: Ends, name: str) -> CopySurvey | None:
    """The verified copy that stands at an end, as its mark says, while its source is still there."""
    for label, end in (("qa", ends.qa), ("spool", ends.spool)):
        mark, copy = _read_mark(end, name), ends.fs.look(end.folder, name) if end.folder else None
        other = ends.other(end)
        if mark is None or copy is None or copy.inode != mark.copy or other.folder is None:
            continue
        source = ends.fs.look(other.folder, name)
        in_place = source is not None and source.kind is Kind.DIRECTORY and source.inode == mark.source
        inner_name = _retired(other, name, mark.source)
        if in_place or inner_name is not None:
            at_source = (other.own, inner_name) if inner_name else (other.folder, name)
            found = CopySurvey(
                label,
                in_place,
                copy_changed=fingerprint(end.here, name) != mark.copy_print,
                source_changed=fingerprint(*at_source) != mark.source_print,
            )
            # Somebody may have touched both (chattr, a backup) and changed neither: then either may go.
            if found.torn and compare_trees(*at_source, end.here, name) is None:
                return CopySurvey(label, in_place)
            return found
    return None
