"""A delivery and its way back in a scratch workspace, on a request as a calibration workflow leaves it."""

from __future__ import annotations

import io
import json
import tarfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from conveyor.api.operations import deliver, retrieve
from conveyor.errors import ConveyorError
from conveyor.filesystem.posix import FileSystem
from conveyor.filesystem.temporary import scratch_directory
from conveyor.settings.model import Settings
from conveyor.settings.sources import Config
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conveyor.engine.outcome import Outcome
    from conveyor.filesystem.posix import DirFd

REQUEST = "tmpiox5trbp"
_BLOCK = "13B-014.sb28862036.eb29155786.56782.5720116088"
_HTML = "pipeline-20210910T203614/html"

# A request as the standard calibration leaves it: names from CASA's export, contents only large enough to be seen.
_FILES = {
    f"rawdata/{_BLOCK}/ASDM.xml": "<ASDM/>",
    f"rawdata/{_BLOCK}/ASDMBinary/uid____evla_bdf_1400000000000": "\0" * 4096,
    f"working/{_BLOCK}.ms/table.dat": "\0" * 512,
    f"working/{_BLOCK}.ms/table.f1": "\0" * 65536,
    f"working/{_BLOCK}.ms/ANTENNA/table.dat": "\0" * 512,
    f"working/{_BLOCK}.ms/table.lock": "",
    f"working/{_HTML}/t1-1.html": "<html>the weblog, as the pipeline made it</html>",
    "working/cont.dat": "Field: J1331+3030\n",
    "products/unknown.pipeline_manifest.xml": "<piperesults/>",
    "products/casa_commands.log": "# casa\n",
    "PPR.xml": "<SciPipeRequest/>",
}
_WEBLOG = {
    f"{_HTML}/t1-1.html": "<html>observation overview</html>",
    f"{_HTML}/t2-1.html": "<html>by topic</html>",
    f"{_HTML}/stage1/casapy.log": "importing the data\n",
}


@frozen
class Scene:
    """One point of the demonstration: its title, and the entries of the areas at that time, one a line."""

    title: str
    trees: tuple[tuple[str, tuple[str, ...]], ...]
    note: str = ""


def demonstrate(keep: Path | None, show: Callable[[Scene], None]) -> Path:
    """Play the demonstration, showing each scene as it happens; the scratch workspace, which stays only with ``keep``.

    Raises :class:`~conveyor.errors.ConveyorError` if a step fails.
    """
    config = Config(Settings(), {}, None)
    fs = FileSystem()
    try:
        with scratch_directory(keep) as scratch, fs.open_root(scratch) as root:
            metadata = _make_workspace(fs, root)
            workspace = scratch / "workspaces"
            page = workspace / "spool" / REQUEST / "working" / _HTML / "t1-1.html"

            def scene(title: str, note: str = "") -> None:
                areas = ("spool", "qa2", "weblog-cache")
                trees = tuple((area, tuple(_tree(workspace / area))) for area in areas)
                show(Scene(title, trees, note))

            scene("A finished calibration request lies in spool, a metadata.json beside its directories.")
            delivered = deliver(metadata, config=config).raise_for_error()
            scene(_happened("conveyor deliver metadata.json", delivered), _still_readable(page))
            qa = Path(delivered.qa or "")
            with fs.open_root(qa / "working") as working:
                fs.write(working, "qa_report.txt", b"PASS\n")
            again = deliver(metadata, config=config).raise_for_error()
            scene("An analyst adds qa_report.txt in the QA area. " + _happened("conveyor deliver, again", again))
            home = retrieve(metadata, config=config).raise_for_error()
            report = workspace / "spool" / REQUEST / "working/qa_report.txt"
            came = f"The analyst's report came home: {report.read_text().strip()}. " + _still_readable(page)
            scene(_happened("conveyor retrieve metadata.json", home), came)
            return scratch
    except OSError as error:
        raise ConveyorError.from_os_error(error) from error


def _happened(command: str, outcome: Outcome) -> str:
    if outcome.already:
        return f"{command}: already {outcome.state}, nothing to do."
    steps = "\n".join(f"  - {step.meaning}" for step in outcome.steps if step.outcome == "done")
    return f"{command}: the request is {outcome.state} now.\n{steps}"


def _still_readable(page: Path) -> str:
    return f"The path from before still opens: {page.parent.name}/{page.name}: {page.read_text()}"


def _make_workspace(fs: FileSystem, root: DirFd) -> Path:
    for area in ("spool", "qa2", "image-qa"):
        _make_directory(fs, root, Path("workspaces", area))
    request = Path("workspaces/spool") / REQUEST
    for name, content in _FILES.items():
        _make_file(fs, root, request / name, content.encode())
    _make_file(fs, root, request / "products" / "weblog.tgz", _weblog())
    metadata = {
        "fileSetIds": [_BLOCK],
        "workflowName": "std_calibration",
        "creationTime": "2021-09-10T20:36:14.037658",
        "destinationDirectory": str(root.path / request),
        "projectMetadata": {"projectCode": "13B-014", "telescope": "EVLA", "observer": "VLA Operations"},
    }
    _make_file(fs, root, request / "metadata.json", (json.dumps(metadata, indent=2) + "\n").encode())
    return root.path / request / "metadata.json"


def _make_directory(fs: FileSystem, root: DirFd, path: Path) -> None:
    with ExitStack() as opened:
        directory = root
        for part in path.parts:
            if fs.lstat(directory, part) is None:
                fs.mkdir(directory, part)
            directory = opened.enter_context(fs.open_directory(directory, part))


def _make_file(fs: FileSystem, root: DirFd, path: Path, content: bytes) -> None:
    _make_directory(fs, root, path.parent)
    with fs.open_root(root.path / path.parent) as directory, fs.create_file(directory, path.name) as file:
        file.write(content)


def _weblog() -> bytes:
    """A weblog tar as the pipeline exports it: index.html a relative symlink, the CASA log a hard link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in _WEBLOG.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content.encode()))
        index = tarfile.TarInfo(f"{_HTML}/index.html")
        index.type, index.linkname = tarfile.SYMTYPE, "t1-1.html"
        tar.addfile(index)
        log = tarfile.TarInfo(f"{_HTML}/casa.log")
        log.type, log.linkname = tarfile.LNKTYPE, f"{_HTML}/stage1/casapy.log"
        tar.addfile(log)
    return buffer.getvalue()


def _tree(directory: Path, depth: int = 3, indent: str = "  ") -> Iterator[str]:
    """Yield the entries of a directory, links with their targets, down to ``depth`` levels."""
    for entry in sorted(directory.iterdir()) if directory.is_dir() else ():
        if entry.is_symlink():
            text = str(entry.readlink())
            yield f"{indent}{entry.name} -> {text if len(text) < 60 else text[:57] + '...'}"
        elif entry.is_dir():
            yield f"{indent}{entry.name}/"
            if depth > 1:
                yield from _tree(entry, depth - 1, indent + "  ")
        else:
            yield f"{indent}{entry.name}"
