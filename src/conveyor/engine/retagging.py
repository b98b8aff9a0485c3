"""The project IDs of a directory on its way: its quota is to be that of the area that holds it.

A directory is renamed into a folder that hands on a project ID only if it has the same ID; what is in it is not asked. So:

1. The IDs that the directory has in spool are recorded in ``.conveyor``, all of them. A mark says that IDs are changed.
2. The directory itself gets the target's ID, and is moved by an exchange or by renames.
3. What is in it gets the target's ID too, or, on the way home, those of the record. The mark goes.

A run may die at any point: while the mark stands, the tree is tagged again where it is, or moved and then tagged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.documents.codec import dump, load
from conveyor.documents.kept_documents import ProjectIds, RecordedProject
from conveyor.engine.endpoints import Location
from conveyor.engine.links import remove_staged
from conveyor.filesystem.posix import Kind
from conveyor.filesystem.project_ids import Project
from conveyor.filesystem.treecopy.copy_options import PathAt
from conveyor.layout import MANIFEST, PROBE, PROJECTS, RETAGGING, temporary_name

if TYPE_CHECKING:
    from conveyor.engine.endpoints import Endpoint, Endpoints
    from conveyor.filesystem.posix import DirFd, FileSystem
    from conveyor.filesystem.treecopy.retag import TreeProjects

_LIMIT = 1 << 30  # bytes; an inode of another ID than most takes ten


def handed_on(fs: FileSystem, folder: DirFd) -> Project | None:
    """The project of what is made in a folder; None on a file system without project IDs."""
    own = fs.project(folder)
    return own if own is None or own.handed_on else Project(0)


def is_retagging(endpoints: Endpoints, name: str) -> bool:
    """Tell whether the IDs of a directory are being changed: by this run, or by one that died."""
    return endpoints.spool.meta_kind(name + RETAGGING) is not None


def prepare_retag(endpoints: Endpoints, name: str, origin: Endpoint) -> bool:
    """Give a directory, and not what is in it, the project that lets it be renamed to the other end; False if it keeps its.

    What is in it follows when it is there (:func:`settle_projects`). It keeps its ID if that is right, if the setting says
    so, or if this account or the file system may not. Raises :class:`OSError`.
    """
    fs, spool, target = endpoints.fs, endpoints.spool, endpoints.other(origin)
    wanted = handed_on(fs, target.root)
    if wanted is None:
        return False
    if not is_retagging(endpoints, name):
        if not (wants_retag(endpoints, name, origin, wanted) and _moves_tagged(endpoints, name, origin, wanted)):
            return False
        _record(endpoints, name, origin)
        fs.symlink(spool.meta, name + RETAGGING, str(wanted))
        fs.fsync(spool.meta)
    if fs.give_project(origin.root, name, wanted):
        return True
    abandon_retag(endpoints, name)  # it is another account's
    return False


def settle_projects(endpoints: Endpoints, name: str, at: Endpoint) -> None:
    """Give all of a directory the project IDs that it has at an end, and take the mark away.

    In the QA area it is what that hands on; in spool, what is recorded. Raises :class:`OSError`.
    """
    from conveyor.filesystem.treecopy.retag import TreeProjects, retag

    fs, spool = endpoints.fs, endpoints.spool
    if at.location is Location.SPOOL:
        wanted = _recorded(endpoints, name)
    else:
        there = handed_on(fs, at.root)
        wanted = TreeProjects(there) if there is not None else None
    if wanted is not None:
        fs.give_project(at.root, name, wanted.usual)
        copying = endpoints.copying
        kept = retag(PathAt(at.root, name), wanted, fs.project_calls, copying.options, copying.monitor)
        if kept.number:
            more = f" and {kept.number - len(kept.examples)} more" if kept.number > len(kept.examples) else ""
            paths = ", ".join(str(at.path / name / path) for path in kept.examples)
            copying.warn(f"this account may not change the project ID, and so the quota, of {paths}{more}")
        fs.syncfs(at.root)
    fs.unlink(spool.meta, name + RETAGGING)


def forget_projects(endpoints: Endpoints, name: str) -> None:
    """Remove the record of a directory that is home, if there is one."""
    for record in (temporary_name(name + PROJECTS), name + PROJECTS):
        if endpoints.spool.meta_kind(record) is Kind.FILE:
            endpoints.fs.unlink(endpoints.spool.meta, record)


def abandon_retag(endpoints: Endpoints, name: str) -> None:
    """Forget the IDs of a directory that is copied in the end: its copy has the target's by itself."""
    forget_projects(endpoints, name)
    if is_retagging(endpoints, name):
        endpoints.fs.unlink(endpoints.spool.meta, name + RETAGGING)


def wants_retag(endpoints: Endpoints, name: str, origin: Endpoint, wanted: Project | None) -> bool:
    """Tell if a directory is to get another project: the setting says so, or it came so, and its IDs are recorded."""
    own = endpoints.fs.project(origin.root, name)
    if own is None or wanted is None:
        return False
    if origin.location is Location.QA and endpoints.spool.meta_kind(name + PROJECTS) is not None:
        return True
    return own != wanted and endpoints.copying.options.project_ids == "retag"


def tagged_moves(fs: FileSystem, here: DirFd, probe: str, there: DirFd, full: str, wanted: Project) -> bool:
    """Find out, of a directory ``probe`` that is made, if it may be given a project, and then be renamed into another one.

    ``full`` is a name there of a directory that is not empty (:meth:`~conveyor.filesystem.posix.FileSystem.full_directory`).
    """
    with fs.full_directory(here, probe):
        return fs.give_project(here, probe, wanted) and fs.can_rename_onto(here, probe, there, full)


def _moves_tagged(endpoints: Endpoints, name: str, origin: Endpoint, wanted: Project) -> bool:
    fs, target, probe = endpoints.fs, endpoints.other(origin), name + PROBE
    for end in (origin, target):
        remove_staged(end, probe)
    with fs.full_directory(target.meta, probe):
        return tagged_moves(fs, origin.meta, probe, target.meta, probe, wanted)


def _record(endpoints: Endpoints, name: str, origin: Endpoint) -> None:
    """Write down the IDs that a directory has in spool.

    One that was only renamed out has them still. One that was copied out will have those that spool hands on.
    """
    from conveyor.filesystem.treecopy.retag import TreeProjects, record_projects

    fs, spool, copying = endpoints.fs, endpoints.spool, endpoints.copying
    if origin.location is Location.QA and spool.meta_kind(name + PROJECTS) is not None:
        return
    if origin.location is Location.QA and spool.meta_kind(name + MANIFEST) is not None:
        found = TreeProjects(handed_on(fs, spool.root) or Project(0))
    else:
        own = fs.project(origin.root, name) or Project(0)
        found = record_projects(PathAt(origin.root, name), own, fs.project_calls, copying.options, copying.monitor)
    others = [RecordedProject(*project, sorted(inodes)) for project, inodes in found.others.items()]
    usual = RecordedProject(*found.usual, [])
    fs.write(spool.meta, name + PROJECTS, dump(ProjectIds(schema="conveyor-project-ids/1", projects=[usual, *others])))


def _recorded(endpoints: Endpoints, name: str) -> TreeProjects | None:
    """The IDs that a directory had in spool; None if there is no record that can be read."""
    from conveyor.filesystem.treecopy.retag import TreeProjects

    spool = endpoints.spool
    if spool.meta_kind(name + PROJECTS) is not Kind.FILE:
        return None
    try:
        document = load(ProjectIds, endpoints.fs.read(spool.meta, name + PROJECTS, limit=_LIMIT))
    except ValueError:
        endpoints.copying.warn(f"{spool.meta.path / (name + PROJECTS)} cannot be read: project IDs stay as they are")
        return None
    (usual, *others) = document["projects"]
    return TreeProjects(
        Project(usual.number, usual.handed_on),
        {Project(one.number, one.handed_on): frozenset(one.inodes) for one in others},
    )
