"""Reading ``metadata.json``: what is kept, and one clear sentence for each way in which it can be wrong."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import conveyor
from conveyor import ConveyorError, read_metadata
from conveyor.errors import MetadataInvalidError
from conveyor.request.metadata import parse_metadata
from support.workspace import make_workspace

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT: dict[str, Any] = {
    "fileSetIds": ["13B-014.sb28862036.eb29155786.56782.5720116088"],
    "workflowName": "std_calibration",
    "systemId": "2",
    "destinationDirectory": "/lustre/workspaces/spool/tmpiox5trbp",
    "projectMetadata": {"projectCode": "13B-014", "observer": "VLA Operations"},
}


def parse(**changes: Any) -> Any:
    return parse_metadata(json.dumps(DOCUMENT | changes).encode(), "m.json")


def test_what_a_workflow_writes_is_read_and_kept() -> None:
    """The known keys have their types, unknown ones are kept, and the request is named by its directory."""
    metadata = parse()
    assert metadata.request == "tmpiox5trbp"
    assert metadata.project_code == "13B-014"
    assert metadata.model_extra == {"systemId": "2"}
    assert metadata.projectMetadata.model_extra == {"observer": "VLA Operations"}


def test_file_set_ids_are_a_string_or_a_list() -> None:
    """Both forms that are seen in the wild are one tuple afterwards."""
    assert parse(fileSetIds="one").fileSetIds == ("one",)
    assert parse(fileSetIds=["one", "two"]).fileSetIds == ("one", "two")


def test_only_the_parent_directory_is_needed() -> None:
    """A document with nothing but destinationDirectory is enough; a byte order mark and needless slashes do not matter."""
    metadata = parse_metadata(b'\xef\xbb\xbf{"destinationDirectory": "//ws/./spool//r/"}', "m.json")
    assert str(metadata.destinationDirectory) == "/ws/spool/r"
    assert (metadata.request, metadata.workflowName, metadata.project_code) == ("r", None, None)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "m.json is not JSON: it ends too early at line 1, column 1"),
        (b'{"a": 1,\n}', "m.json is not JSON: a comma stands before an end at line 2, column 1"),
        (b'{"a": [1, ]}', "m.json is not JSON: a comma stands before an end at line 1, column 11"),
        (b'{"a": 1, // all', "m.json is not JSON: JSON has no comments at line 1, column 10"),
        (b'{"a": ', "m.json is not JSON: it ends too early at line 1, column 7"),
        (b"{'a': 1}", "m.json is not JSON: Expecting property name enclosed in double quotes"),
        (b'{"a": "\xff"}', "m.json is not JSON: not UTF-8 at byte 7"),
        (b"[" * 100_000, "m.json is not JSON that can be read"),
        (b"[]", "m.json holds an array, where an object is expected"),
        (b'"text"', "m.json holds a string, where an object is expected"),
        (b"true", "m.json holds a boolean, where"),
        (b"null", "m.json holds null, where"),
        (b"1.5", "m.json holds a number, where"),
        (b"{}", "m.json lacks the key 'destinationDirectory', the parent processing directory"),
        (b'{"DestinationDir": "/a"}', "; it has 'DestinationDir'"),
        (b'{"destinationDirectory": 5}', "m.json: destinationDirectory must be a path in a string"),
        (b'{"destinationDirectory": "a/b"}', "m.json: destinationDirectory must be an absolute path"),
        (b'{"destinationDirectory": "/a/../b"}', "m.json: destinationDirectory must not contain '..'"),
        (b'{"destinationDirectory": "/"}', "m.json: destinationDirectory must name a directory below the root"),
        (
            b'{"destinationDirectory": "/a\\u0000b"}',
            "m.json: destinationDirectory must have printable characters only",
        ),
        (b'{"destinationDirectory": "/a\\nb"}', "destinationDirectory must have printable characters only: '/a\\nb'"),
        (b'{"destinationDirectory": "/a\\u001b[31m"}', "must have printable characters only"),
        (b'{"destinationDirectory": "/a\\u202e"}', "must have printable characters only"),
        (b'{"destinationDirectory": "/\\ud800"}', "must have printable characters only: '/\\ud800'"),
        (b'{"destinationDirectory": "/\\udcff"}', "must have printable characters only"),
        (b'{"destinationDirectory": "/\xed\xa0\x80"}', "must have printable characters only"),
        (b'{"destinationDirectory": "/a/.b.conveyor"}', "must not name a hidden directory: '.b.conveyor'"),
        (b'{"destinationDirectory": "/%b"}' % (b"n" * 246), "must have a name of at most 245 bytes"),
        (b'{"destinationDirectory": "/%b"}' % ("ä" * 123).encode(), "must have a name of at most 245 bytes"),
        (b'{"destinationDirectory": "/%b"}' % (b"n/" * 2000), "must be a path of at most 3072 bytes: '/n/n/n"),
        (b'{"destinationDirectory": "/a", "destinationDirectory": "/b"}', "the key 'destinationDirectory' comes twice"),
        (b'{"a": {"b": 1, "b": 2}}', "the key 'b' comes twice"),
        (b'{"a": %b}' % (b"9" * 5000), "m.json lacks the key 'destinationDirectory'"),
        (
            b'{"destinationDirectory": "/a", "workflowName": "\\ud800"}',
            "workflowName must be the name of a workflow in a string, not '\\ud800'",
        ),
        (
            b'{"destinationDirectory": "/a", "workflowName": 5}',
            "workflowName must be the name of a workflow in a string, not 5",
        ),
        (b'{"destinationDirectory": "/a", "workflowName": "%b"}' % (b"w" * 5000), "workflowName must be"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(raw: bytes, says: str) -> None:
    """Each defect has one sentence with the place in the document, and exit code 65."""
    with pytest.raises(ConveyorError) as caught:
        parse_metadata(raw, "m.json")
    assert says in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300
    assert (caught.value.code, caught.value.exit_code) == ("metadata-invalid", 65)


def test_what_is_no_readable_file(tmp_path: Path) -> None:
    """A missing file, a link to itself, a directory, a FIFO and a huge file are told apart, and none is waited for."""
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "metadata.json").write_text("{}")
    os.mkfifo(tmp_path / "fifo")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(20_000_000)
    for name, code, says in (
        ("missing", "metadata-missing", "there is no metadata file"),
        ("circle", "metadata-missing", "a symbolic link that leads in a circle"),
        ("folder", "metadata-invalid", f"{tmp_path}/folder is a directory, not a metadata file"),
        ("fifo", "metadata-invalid", "is not a regular file"),
        ("huge", "metadata-invalid", "is larger than"),
    ):
        with pytest.raises(ConveyorError) as caught:
            read_metadata(tmp_path / name)
        assert caught.value.code == code
        assert says in caught.value.message


def test_a_fifo_that_takes_the_file_s_place_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a FIFO is put in the place of the file between the look and the opening, it is refused all the same."""
    (tmp_path / "metadata.json").write_text("{}")
    real = os.open

    def swapped(path: str, flags: int, *arguments: Any, **options: Any) -> int:
        (tmp_path / "metadata.json").unlink()
        os.mkfifo(tmp_path / "metadata.json")
        return real(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", swapped)
    with pytest.raises(MetadataInvalidError, match="is not a regular file"):
        read_metadata(tmp_path / "metadata.json")


def test_the_longest_name_that_is_let_through_can_be_conveyed(tmp_path: Path) -> None:
    """A request whose name has 245 bytes goes out and home: every name that is derived from it fits."""
    workspace = make_workspace(tmp_path / "workspaces", request="n" * 245)
    assert conveyor.deliver(workspace.metadata).raise_for_error().state is conveyor.State.IN_QA
    assert workspace.weblog.is_dir()
    assert conveyor.retrieve(workspace.metadata).raise_for_error().state is conveyor.State.IN_SPOOL


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    document=_JSON
    | st.fixed_dictionaries(
        {},
        optional={"destinationDirectory": _JSON, "workflowName": _JSON, "fileSetIds": _JSON, "projectMetadata": _JSON},
    ),
    noise=st.binary(max_size=3),
)
def test_no_document_does_anything_but_be_read_or_refused(document: Any, noise: bytes) -> None:
    """Whatever a document holds, it is a Metadata with an absolute directory, or a refusal with code 65."""
    raw = json.dumps(document).encode() + noise
    try:
        metadata = parse_metadata(raw, "m.json")
    except MetadataInvalidError:
        return
    assert metadata.destinationDirectory.is_absolute()
    assert ".." not in metadata.destinationDirectory.parts


@pytest.mark.parametrize(
    "value", [None, 5, 1.5, True, [], [5], {}, {"id": "x"}, "x" * 5000, "\ud800", [{"id": "x"}], [None]], ids=repr
)
@pytest.mark.parametrize(
    "key", ["fileSetIds", "projectMetadata", "projectCode", "title", "telescope", "observer", "other"]
)
def test_a_key_that_is_not_needed_refuses_nothing(key: str, value: Any) -> None:
    """Whatever another program wrote for them, the other keys let a request through, and can be written into receipts."""
    inner = {key: value} if key in ("projectCode", "title", "telescope", "observer") else {}
    outer = {} if inner else {key: value}
    metadata = parse(**({"projectMetadata": inner} | outer))
    assert metadata.request == "tmpiox5trbp"
    project = metadata.projectMetadata
    for text in (project.projectCode, project.title, project.telescope, *metadata.fileSetIds):
        assert text is None or isinstance(text, str)
        assert len((text or "").encode()) <= 4096


@pytest.mark.parametrize(
    ("written", "code"),
    [
        (20140123, "20140123"),
        (13.5, "13.5"),
        ("13B-014", "13B-014"),
        ("", ""),
        (None, None),
        (True, None),
        (["x"], None),
    ],
)
def test_a_project_code_is_text(written: object, code: str | None) -> None:
    """A number is its text; what is no text is none."""
    assert parse(projectMetadata={"projectCode": written}).project_code == code


def test_a_workflow_may_be_null() -> None:
    """Writers of JSON put null where there is no value."""
    assert parse(workflowName=None).workflowName is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_unicode_is_read_in_each_encoding(encoding: str) -> None:
    """The encodings that JSON knows are told apart by the first bytes."""
    raw = json.dumps(DOCUMENT | {"destinationDirectory": "/ws/spool/ä"}, ensure_ascii=False).encode(encoding)
    assert parse_metadata(raw, "m.json").request == "ä"


def test_the_hint_names_the_file_that_was_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request's directory, its QA folder, its receipt, a pattern and an empty name are each answered with a way out."""
    workspace = make_workspace(tmp_path / "ws")
    conveyor.deliver(workspace.metadata).raise_for_error()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    for named, hint in (
        (workspace.spool, f"did you mean {workspace.metadata}?"),
        (workspace.qa, f"did you mean {workspace.metadata}?"),
        (workspace.qa / "READY", f"did you mean {workspace.metadata}?"),
        (workspace.root / "spool", "name the metadata.json of a request"),
        (workspace.root / "spool" / "*" / "metadata.json", "a pattern of the shell that matches nothing"),
        ("", "it is empty"),
    ):
        error = conveyor.deliver(named).error
        assert error is not None
        assert hint in error.hint
        assert "correct the file" not in error.hint
