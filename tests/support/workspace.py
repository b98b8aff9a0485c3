"""A workspace with a request in it, as a workflow leaves it: awkward names, holes, hard links and all."""

from __future__ import annotations

import io
import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST = "tmpiox5trbp"
HTML = "pipeline-20210910T203614/html"
DIRECTORIES = ("rawdata", "products", "working")


@dataclass(frozen=True)
class Workspace:
    """The places of a test's workspace, and of the one request in it; ``qa_root`` and ``cache`` may stand elsewhere."""

    root: Path
    request: str = REQUEST
    qa_area: str = "qa2"
    qa_root: Path | None = None
    cache: Path | None = None

    @property
    def spool(self) -> Path:
        return self.root / "spool" / self.request

    @property
    def qa(self) -> Path:
        return (self.qa_root or self.root) / self.qa_area / self.request

    @property
    def weblog(self) -> Path:
        return (self.cache or self.root / "weblog-cache") / self.request

    @property
    def metadata(self) -> Path:
        return self.spool / "metadata.json"

    def write_metadata(self, **changes: Any) -> Path:
        """Write the request's metadata.json, with some keys changed (None: left out)."""
        document: dict[str, Any] = {
            "fileSetIds": ["13B-014.sb28862036.eb29155786.56782.5720116088"],
            "workflowName": "std_calibration" if self.qa_area == "qa2" else "std_cms_imaging",
            "systemId": "2",
            "creationTime": "2021-09-10T20:36:14.037658",
            "destinationDirectory": str(self.spool),
            "projectMetadata": {"projectCode": "13B-014", "title": "", "telescope": "EVLA"},
        }
        document = {key: value for key, value in (document | changes).items() if value is not None}
        self.metadata.write_text(json.dumps(document))
        return self.metadata


def make_workspace(
    root: Path, *, request: str = REQUEST, qa_area: str = "qa2", qa_root: Path | None = None, cache: Path | None = None
) -> Workspace:
    """Make the areas and a small request, with plain files and a weblog; quick, and fit for pyfakefs."""
    workspace = Workspace(root, request, qa_area, qa_root, cache)
    for area in ("qa2", "image-qa"):
        ((qa_root or root) / area).mkdir(parents=True, exist_ok=True)
    for name in DIRECTORIES:
        (workspace.spool / name / "folder").mkdir(parents=True)
        (workspace.spool / name / "folder" / "file.txt").write_text(f"the content of {name}\n")
    (workspace.spool / "PPR.xml").write_text("<SciPipeRequest/>")
    (workspace.spool / "products" / "weblog.tgz").write_bytes(weblog_tar())
    workspace.write_metadata()
    return workspace


def add_files_that_show_a_crash(workspace: Workspace) -> None:
    """Add the little that tells a whole directory from half a one, and that is awkward to remove."""
    products = workspace.spool / "products"
    os.link(products / "folder" / "file.txt", products / "a second name")
    (products / "link").symlink_to("folder/file.txt")
    (products / "folder" / "read-only").write_text("x")
    (products / "folder" / "read-only").chmod(0o400)
    (workspace.spool / "rawdata" / "folder").chmod(0o555)


def add_awkward_files(workspace: Workspace) -> None:
    """Add what real trees have and copies get wrong; for real file systems only."""
    measurement_set = workspace.spool / "working" / "13B-014.ms"
    (measurement_set / "ANTENNA").mkdir(parents=True)
    (measurement_set / "table.dat").write_bytes(bytes(range(256)) * 16)
    (measurement_set / "table.lock").touch()
    with (measurement_set / "table.f1").open("wb") as sparse:
        sparse.seek(5_000_000)
        sparse.write(b"data after a hole")
        sparse.truncate(9_000_000)
    os.link(measurement_set / "table.dat", workspace.spool / "working" / "a second name")
    (workspace.spool / "working" / "inside").symlink_to("13B-014.ms/table.dat")
    (workspace.spool / "working" / "dangling").symlink_to("/nowhere/at/all")
    for name in ("Jodrell Bänk – 観測.txt", "two\nlines", " -rf ", "a'b\"c$(d)"):
        (workspace.spool / "products" / name).write_text(name)
    Path(os.fsdecode(os.fsencode(workspace.spool / "products") + b"/not utf-8 \xff\xfe")).write_text("x")
    (workspace.spool / "rawdata" / "empty").mkdir()
    for name, mode in (
        ("secret", 0o600),
        ("read-only", 0o444),
        ("program", 0o755),
        ("none", 0o000),
        ("setgid", 0o2755),
    ):
        path = workspace.spool / "rawdata" / name
        path.write_text(name)
        path.chmod(mode)
    locked = workspace.spool / "rawdata" / "read-only folder"
    locked.mkdir()
    (locked / "file").write_text("x")
    locked.chmod(0o555)
    for number, path in enumerate(sorted(workspace.spool.rglob("*"))):
        moment = 1_400_000_000_123_456_789 + number * 1_000_000_007
        os.utime(path, ns=(moment, moment), follow_symlinks=False)
    workspace.write_metadata()


def weblog_tar(
    mode: str = "w:gz", page: str = "observation overview", plots: Mapping[str, bytes] | None = None
) -> bytes:
    """A weblog tar as CASA's pipeline exports it: index.html a relative symlink, the CASA log a hard link, modes 0600."""
    buffer = io.BytesIO()
    pages = {
        "t1-1.html": page.encode(),
        "t2-1.html": b"by topic",
        "stage1/casapy.log": b"log",
        "stage1/plot.png": bytes(999),
        **{f"plots/{name}": content for name, content in (plots or {}).items()},
    }
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in pages.items():
            info = tarfile.TarInfo(f"{HTML}/{name}")
            info.size, info.mode, info.mtime = len(content), 0o600, 1_631_306_174
            tar.addfile(info, io.BytesIO(content))
        for name, kind, target in (
            ("index.html", tarfile.SYMTYPE, "t1-1.html"),
            ("casa.log", tarfile.LNKTYPE, f"{HTML}/stage1/casapy.log"),
        ):
            info = tarfile.TarInfo(f"{HTML}/{name}")
            info.type, info.linkname = kind, target
            tar.addfile(info)
    return buffer.getvalue()
