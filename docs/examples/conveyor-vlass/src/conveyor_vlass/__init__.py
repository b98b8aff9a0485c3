"""VLASS calibrations, with two steps of their own: checksums before a delivery, a message after the way home."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from conveyor import Capability, Directory, HookContext, StepResult, Weblog


@dataclass(frozen=True)
class Checksums:
    """Write ``SHA256SUMS`` beside the products, for ``sha256sum --check``."""

    name: str = "vlass-checksums"

    def needed(self, request: HookContext) -> bool:
        """Look whether any product is newer than the list, or the list is missing."""
        sums = _sums(request)
        if not sums.is_file():
            return True
        written = sums.stat().st_mtime_ns
        return any(path.stat().st_mtime_ns > written for path in _products(request))

    def describe(self) -> str:
        return "write the checksums of the products"

    def rehearse(self, request: HookContext) -> None:
        """Open each product, so that one that cannot be read is known before anything moves."""
        for path in _products(request):
            path.open("rb").close()

    def perform(self, request: HookContext) -> StepResult:
        """Write the list under another name and rename it: a run that dies leaves no half of one."""
        products = _products(request)
        lines = [f"{_digest(path)}  {path.relative_to(_sums(request).parent)}\n" for path in products]
        unfinished = _sums(request).with_suffix(".new")
        unfinished.write_text("".join(lines))
        unfinished.replace(_sums(request))
        return StepResult(detail=f"{len(products)} files")


@dataclass(frozen=True)
class Announcement:
    """Tell the ingestion that a request is home: a file in its inbox, which it takes away."""

    name: str = "vlass-announcement"

    def needed(self, request: HookContext) -> bool:
        return "VLASS_INBOX" in os.environ

    def describe(self) -> str:
        return "announce the request to the ingestion"

    def rehearse(self, request: HookContext) -> None:
        if not os.access(os.environ["VLASS_INBOX"], os.W_OK):
            raise PermissionError(f"the inbox {os.environ['VLASS_INBOX']} cannot be written to")

    def perform(self, request: HookContext) -> StepResult:
        """Write the message under the request's name: announced twice, after a crash, it is still one message."""
        message = Path(os.environ["VLASS_INBOX"], f"{request.request}.json")
        unfinished = message.with_suffix(".new")
        unfinished.write_text(json.dumps({"request": request.request, "spool": str(request.spool)}))
        unfinished.replace(message)
        return StepResult(detail=str(message))


def _sums(request: HookContext) -> Path:
    return request.spool / "products" / "SHA256SUMS"


def _products(request: HookContext) -> list[Path]:
    files = (path for path in (request.spool / "products").rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(path for path in files if path.stem != "SHA256SUMS")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


VLASS = Capability(
    name="vlass",
    workflows=("vlass_calibration", "vlass_*"),
    qa_area="qa2",
    directories=(
        Directory("rawdata", required=False),
        Directory("products"),
        Directory("working"),
    ),
    weblog=Weblog(required=True),
    before_delivery=(Checksums(),),
    after_retrieval=(Announcement(),),
)
