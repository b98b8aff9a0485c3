"""Each JSON document: what this release writes it reads, what others wrote too, and what is damaged is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conveyor.documents.codec import dump, dump_line, load
from conveyor.documents.dag_documents import DagManifest
from conveyor.documents.history_lines import HistoryHead, HistoryLine
from conveyor.documents.kept_documents import Progress, ProgressHead, Ready, ReadyHead, Verdict, WeblogReceipt
from conveyor.documents.request_documents import RequestEntry
from conveyor.settings.model import Settings

PROGRESS = {"directory": "rawdata", "phase": "copy", "files": 1, "bytes": 2, "total_files": 3}
PROGRESS |= {"total_bytes": None, "rate": None, "seconds_left": None, "time": "2026-11-23T23:45:55.000+00:00"}
REQUEST = {
    "request": "tmp1",
    "metadata": "/data/spool/tmp1/metadata.json",
    "capability": "calibration",
    "state": "in-qa",
    "changed": True,
    "directories": {"rawdata": "in-qa"},
    "spool": "/data/spool/tmp1",
    "qa": "/data/qa2/tmp1",
    "weblog": None,
    "progress": None,
    "verified": [],
    "steps": [{"step": "deliver", "subject": "rawdata", "outcome": "done", "detail": "exchange"}],
    "warnings": ["there is no weblog"],
    "error": None,
}
#: Each kind of document as the first release wrote it.
RELEASED: dict[Any, dict[str, Any]] = {
    Ready: {
        "schema": "conveyor-ready/1",
        "request": "tmp1",
        "project_code": None,
        "capability": "calibration",
        "delivered": "2026-11-23T23:45:55.000+00:00",
        "spool": "/data/spool/tmp1",
        "directories": ["rawdata"],
        "weblog": "/data/weblog-cache/tmp1",
        "version": "0.1.0",
    },
    Verdict: {
        "schema": "conveyor-verdict/1",
        "request": "tmp1",
        "verdict": "qa-fail",
        "capability": "calibration",
        "time": "2026-11-23T23:45:55.000+00:00",
    },
    ProgressHead: {"schema": "conveyor-progress/1", "claim": "0123456789abcdef"},
    WeblogReceipt: {
        "schema": "conveyor-weblog/1",
        "tar": "weblog.tgz",
        "sha256": "00",
        "bytes": 10,
        "members": 2,
        "spool": "/data/spool/tmp1",
    },
    HistoryLine: {
        "time": "2026-11-23T23:45:55.000+00:00",
        "host": "nmpost-master",
        "pid": 4711,
        "version": "0.1.0",
        "command": "deliver",
        "capability": "calibration",
        "step": "deliver",
        "subject": "rawdata",
        "outcome": "done",
        "detail": "exchange",
    },
    RequestEntry: REQUEST,
    DagManifest: {
        "schema": "conveyor-dag/1",
        "command": "deliver",
        "capability": None,
        "settings": Settings().model_dump(mode="json"),
        "requests": [
            {"node": "0001", "metadata": "/a/metadata.json", "spool": "/a", "done": None},
            {"node": None, "metadata": "/b/metadata.json", "spool": None, "done": REQUEST},
        ],
    },
}
KINDS = pytest.mark.parametrize("kind", RELEASED, ids=lambda kind: kind.__name__)


@KINDS
def test_what_was_released_is_read_and_written_again(kind: Any) -> None:
    """A document of the first release keeps every key and value."""
    document = RELEASED[kind]
    for written in (dump(document), dump_line(document)):
        assert json.loads(dump(load(kind, written))) == document


@KINDS
def test_a_key_of_a_newer_release_is_passed_over(kind: Any) -> None:
    """A key that this release does not know spoils no document."""
    assert load(kind, dump(RELEASED[kind] | {"of_tomorrow": {"a": [1]}})) == load(kind, dump(RELEASED[kind]))


@KINDS
def test_a_document_without_one_of_its_keys_is_refused(kind: Any) -> None:
    """Each key is needed, but those that came after the first documents of that kind, or have a newer one beside them."""
    document = RELEASED[kind]
    for key in document.keys() - {"progress", "verified", "detail", "sha256"}:
        with pytest.raises(ValueError, match=key):
            load(kind, dump({name: value for name, value in document.items() if name != key}))


@KINDS
@pytest.mark.parametrize("content", [b"", b"no json", b"[]", b"null", b"1", b"{}", b"{" * 9, b"[" * 10_000, b"\xff"])
def test_what_is_damaged_is_refused(kind: Any, content: bytes) -> None:
    """Half a document, another's, or one that would exhaust the stack raises the one error that callers expect."""
    with pytest.raises(ValueError):  # noqa: PT011 - each is refused in its own words
        load(kind, content)


@KINDS
def test_half_a_document_is_refused(kind: Any) -> None:
    """What a crash or a full disk left of a document, wherever it was cut off, is none."""
    whole = dump_line(RELEASED[kind]).rstrip()
    for length in range(len(whole)):
        with pytest.raises(ValueError):  # noqa: PT011 - each is refused in its own words
            load(kind, whole[:length])


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (ReadyHead, {"schema": "conveyor-ready/2"}),
        (ReadyHead, {"request": 1}),
        (Ready, {"directories": "rawdata"}),
        (Verdict, {"verdict": "qa-pass"}),
        (ProgressHead, {"schema": "conveyor-ready/1"}),
        (ProgressHead, {"claim": None}),
        (WeblogReceipt, {"bytes": "10"}),
        (WeblogReceipt, {"members": -1}),
        (HistoryHead, {"command": ["deliver"]}),
        (RequestEntry, {"state": "in-orbit"}),
        (RequestEntry, {"state": "missing"}),
        (RequestEntry, {"directories": {"rawdata": "lost"}}),
        (RequestEntry, {"steps": [{"step": "deliver"}]}),
        (RequestEntry, {"error": "io-failed"}),
        (DagManifest, {"command": "status"}),
        (DagManifest, {"settings": {"no_such_setting": 1}}),
        (DagManifest, {"requests": {}}),
    ],
)
def test_a_value_of_another_kind_is_refused(kind: Any, wrong: dict[str, Any]) -> None:
    """A wrong value spoils a document, and is named."""
    whole: Any = {ReadyHead: Ready, HistoryHead: HistoryLine}.get(kind, kind)
    load(kind, dump(RELEASED[whole]))
    with pytest.raises(ValueError, match=next(iter(wrong))):
        load(kind, dump(RELEASED[whole] | wrong))


@KINDS
def test_a_path_need_not_be_utf8(kind: Any) -> None:
    """A name with a byte that is not UTF-8 comes back as it was written, in small files and in lines."""
    document = {
        key: f"{value}/\udcff" if key in ("spool", "subject") else value for key, value in RELEASED[kind].items()
    }
    for written in (dump(document), dump_line(document)):
        found = load(kind, written)
        assert {key: found[key] for key in ("spool", "subject") if key in found} == {
            key: document[key] for key in ("spool", "subject") if key in document
        }


def test_how_far_a_copy_is_stands_beside_the_claim() -> None:
    """``progress.json`` of the first release is read twice: whose it is, and how far the copy is."""
    content = dump(RELEASED[ProgressHead] | PROGRESS)
    assert load(ProgressHead, content)["claim"] == "0123456789abcdef"
    assert vars(load(Progress, content)) == PROGRESS
    for key in PROGRESS:
        with pytest.raises(ValueError, match=key):
            load(Progress, dump({name: value for name, value in PROGRESS.items() if name != key}))


def test_a_receipt_is_known_by_its_head() -> None:
    """Of a READY and of a line of the history, only what is asked for has to be right."""
    assert load(ReadyHead, b'{"schema": "conveyor-ready/1", "request": "tmp1", "directories": 7}')["request"] == "tmp1"
    assert load(HistoryHead, b'{"command": "retrieve"}')["command"] == "retrieve"
