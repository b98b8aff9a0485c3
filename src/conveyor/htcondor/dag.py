"""A DAG of conveyances, written to a directory: one node a request, and a last one that sums up.

Sources: HTCondor's manual on DAGMan (JOB, SCRIPT DEFER, RETRY UNLESS-EXIT, CATEGORY, MAXJOBS, FINAL, NODE_STATUS_FILE), and
on condor_submit.
"""

from __future__ import annotations

import posixpath
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor._version import __version__
from conveyor.api.runners import preview
from conveyor.errors import ConfigurationError, ConveyorError
from conveyor.filesystem.posix import FileSystem
from conveyor.htcondor.dag_folder import DagFolder, Node
from conveyor.layout import DAG, DAG_LOGS, DAG_MANIFEST, DAG_RESULTS, DAG_STATUS, DAG_SUBMIT
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conveyor.api.runners import Batch
    from conveyor.engine.outcome import Outcome

NO_RETRY = 100  # a node's exit status if no retry can help
TRY_LATER = 75
# What HTCondor takes for more than a character of a path: it splits at white space, and knows macros, quotes, and lines
# that go on behind a backslash.
_CHARACTERS = {
    "$": "a dollar sign",
    '"': "a quotation mark",
    "'": "an apostrophe",
    "\\": "a backslash",
    "\n": "a line break",
    "\t": "a tab",
}
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,100}")

_SUBMIT_FILE = """\
# One conveyance, $(node) in dag.json. It needs the shared file system only: nothing is transferred.
universe = vanilla
executable = {python}
transfer_executable = False
arguments = "-P -m conveyor dag run-node $(node)"
initialdir = {folder}
output = {logs}/$(node).out
error = {logs}/$(node).log
should_transfer_files = NO
request_cpus = 1
request_memory = 256
request_disk = 1024
# The first SIGTERM ends a conveyance at its next safe point: give it the time.
job_max_vacate_time = 120
My.ConveyorNode = "$(node)"
queue
"""


@frozen
class Throttle:
    """Limits on the work of a DAG; ``wait`` is in seconds."""

    max_jobs: int = 10
    retries: int = 3
    wait: int = 60


@frozen
class DagDraft:
    """A DAG that is about to be written, with the preview of each request."""

    folder: DagFolder
    seen: tuple[Outcome, ...]

    @property
    def nodes(self) -> int:
        """The number of requests that are still to be conveyed."""
        return sum(node.name is not None for node in self.folder.nodes)

    def write(self, throttle: Throttle) -> DagFolder:
        """Make the DAG's folder, and write the DAG to it.

        Raises :class:`~conveyor.errors.ConflictError` if it is there already, :class:`~conveyor.errors.ConfigurationError`
        if there is nothing to make it in, and as the operating system refuses.
        """
        folder = self.folder
        content = {
            DAG_MANIFEST: folder.manifest,
            DAG_SUBMIT: _bytes(_SUBMIT_FILE.format(python=sys.executable, folder=folder.path, logs=DAG_LOGS)),
            DAG: _bytes("\n".join(_lines(folder, self.seen, throttle)) + "\n"),
        }
        fs, place = FileSystem(), folder.path.parent
        if not place.is_dir():
            raise ConfigurationError(
                f"there is no directory {place} to make the DAG's directory in", hint=f"make it first: mkdir -p {place}"
            )
        try:
            with fs.open_root(place) as parent:
                fs.mkdir(parent, folder.path.name)
            with fs.open_root(folder.path) as made:
                for name in (DAG_RESULTS, DAG_LOGS):
                    fs.mkdir(made, name)
                for name, text in content.items():
                    fs.write(made, name, text)
        except OSError as error:
            raise ConveyorError.from_os_error(error) from error
        return folder


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")  # a path need not be UTF-8


def draft(batch: Batch, path: Path) -> DagDraft:
    """Look at each request, and draft the DAG, in a folder of this path, of those that are still to be conveyed.

    Raises :class:`~conveyor.errors.ConfigurationError` if DAGMan could not name the folder or this Python, and if the folder
    is in a directory that conveyances move, or in a QA area: it would be moved, or removed, under the DAG that runs there.
    """
    path = _absolute(path)
    for place in (str(path), sys.executable):
        if unfit := {_CHARACTERS.get(letter, "a space") for letter in re.findall(r"[\s\"'$\\]", place)}:
            raise ConfigurationError(
                f"DAGMan cannot have {' or '.join(sorted(unfit))} in a path: {place!r}", hint="use a path without it"
            )
    seen = tuple(preview(batch))
    for outcome in seen:
        _check_apart(path, outcome)
    nodes = tuple(_node(number, outcome) for number, outcome in enumerate(seen, 1))
    return DagDraft(DagFolder(path, batch.operation, batch.capability, batch.config, nodes, batch.reason), seen)


def working_directory() -> Path:
    """Return the working directory. Raises :class:`~conveyor.errors.ConfigurationError` if it was removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigurationError(
            "the working directory is gone, and the DAG's directory cannot be made in it",
            hint="set dag_folder (CONVEYOR_DAG_FOLDER), or go to another directory",
        ) from None


def _absolute(path: Path) -> Path:
    return path if path.is_absolute() else working_directory() / path


def _check_apart(path: Path, outcome: Outcome) -> None:
    """Refuse the folder of a DAG in a directory that is conveyed, of any request of this area, or in a QA area."""
    if outcome.spool is None or outcome.qa is None:
        return
    folder = Path(posixpath.realpath(path))
    spool_area, qa_area = (Path(posixpath.realpath(Path(end).parent)) for end in (outcome.spool, outcome.qa))
    inside = folder.relative_to(spool_area).parts if folder.is_relative_to(spool_area) else ()
    if folder.is_relative_to(qa_area) or (len(inside) > 1 and inside[1] in outcome.directories):
        raise ConfigurationError(
            f"the DAG's directory {path} would be in a directory of a request: {folder}",
            hint="it would move with the request: set dag_folder, or --output, to a directory outside of all requests",
        )


def _node(number: int, outcome: Outcome) -> Node:
    metadata = str(_absolute(Path(outcome.metadata or "")))
    if outcome.already:
        return Node(None, metadata, outcome.spool, replace(outcome, dry_run=False))
    name = outcome.request or ""
    return Node(f"{number:04}-{name}" if _PLAIN.fullmatch(name) else f"{number:04}", metadata, outcome.spool)


def _lines(folder: DagFolder, seen: Sequence[Outcome], throttle: Throttle) -> Iterator[str]:
    program = f"{sys.executable} -P -m conveyor dag"
    yield f"# {folder.operation}, written by Conveyor {__version__}. What each node is about is in {DAG_MANIFEST}."
    categories = set()
    for node, outcome in zip(folder.nodes, seen, strict=True):
        if node.name is None:
            continue
        category = _category(outcome)
        categories.add(category)
        yield ""
        yield f"JOB {node.name} {DAG_SUBMIT} DIR {folder.path}"
        yield f'VARS {node.name} node="{node.name}"'
        yield f"CATEGORY {node.name} {category}"
        script = f"{program} end-node {node.name} --return $RETURN --wait {throttle.wait}"
        yield f"SCRIPT DEFER {TRY_LATER} {throttle.wait} POST {node.name} {script}"
        yield f"RETRY {node.name} {throttle.retries} UNLESS-EXIT {NO_RETRY}"
    yield ""
    for category in sorted(categories):
        yield f"MAXJOBS {category} {throttle.max_jobs}"
    yield f"FINAL summary {DAG_SUBMIT} DIR {folder.path} NOOP"
    yield f"SCRIPT POST summary {program} summary --failed $FAILED_COUNT"
    yield f"NODE_STATUS_FILE {folder.path}/{DAG_STATUS} 1"


def _category(outcome: Outcome) -> str:
    """Return the category of conveyances that load the same file servers: one a QA area, copies apart from renames."""
    if outcome.spool is None or outcome.qa is None:
        return "unknown"
    area = Path(outcome.qa).parent
    name = area.name if _PLAIN.fullmatch(area.name) else "area"
    try:
        is_copy = Path(outcome.spool).stat().st_dev != area.stat().st_dev
    except OSError:  # its node will report the error
        is_copy = False
    return f"{name}-{'copy' if is_copy else 'rename'}"
