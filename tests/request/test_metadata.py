"""Reading ``metadata.json``: what is kept, and one clear sentence for each way in which it can be wrong."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conveyor import ConveyorError, read_metadata
from conveyor.errors import MetadataInvalidError
from conveyor.request.metadata import parse_metadata

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
    """A document with nothing but destinationDirectory is enough, and a slash at its end does not matter."""
    metadata = parse_metadata(b'{"destinationDirectory": "/ws/spool/r/"}', "m.json")
    assert (metadata.request, metadata.workflowName, metadata.project_code) == ("r", None, None)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "m.json is not JSON: Expecting value at line 1, column 1"),
        (b'{"a": 1,\n}', "m.json is not JSON"),
        (b'{"a": "\xff"}', "m.json is not JSON: not UTF-8 at byte 7"),
        (b"[" * 100_000, "m.json is not JSON that can be read"),
        (b"[]", "m.json holds an array at $, where an object is expected"),
        (b'"text"', "m.json holds a string at $"),
        (b"true", "m.json holds a boolean at $"),
        (b"null", "m.json holds null at $"),
        (b"1.5", "m.json holds a number at $"),
        (b"{}", "m.json lacks the key $.destinationDirectory"),
        (b'{"destinationDirectory": 5}', "m.json: $.destinationDirectory must be a path in a string"),
        (b'{"destinationDirectory": "a/b"}', "m.json: $.destinationDirectory must be an absolute path"),
        (b'{"destinationDirectory": "/a/../b"}', "m.json: $.destinationDirectory must not contain '..'"),
        (b'{"destinationDirectory": "/"}', "m.json: $.destinationDirectory must name a directory below the root"),
        (b'{"destinationDirectory": "/a\\u0000b"}', "m.json: $.destinationDirectory must not contain a NUL"),
        (b'{"destinationDirectory": "/a", "fileSetIds": ["x", 5]}', "m.json: $.fileSetIds[1] "),
        (b'{"destinationDirectory": "/a", "projectMetadata": {"projectCode": []}}', "$.projectMetadata.projectCode "),
    ],
)
def test_what_is_wrong_is_said_with_its_place(raw: bytes, says: str) -> None:
    """Each defect has one sentence with the place in the document, and exit code 65."""
    with pytest.raises(ConveyorError) as caught:
        parse_metadata(raw, "m.json")
    assert says in caught.value.message
    assert "\n" not in caught.value.message
    assert (caught.value.code, caught.value.exit_code) == ("metadata-invalid", 65)


def test_what_is_no_readable_file(tmp_path: Path) -> None:
    """A missing file, a directory, a FIFO and a huge file are each told apart, and none is waited for."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "metadata.json").write_text("{}")
    os.mkfifo(tmp_path / "fifo")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(20_000_000)
    for name, code, says in (
        ("missing", "metadata-missing", "there is no metadata file"),
        ("folder", "metadata-invalid", f"did you mean {tmp_path}/folder/metadata.json?"),
        ("fifo", "metadata-invalid", "is not a regular file"),
        ("huge", "metadata-invalid", "is larger than"),
    ):
        with pytest.raises(ConveyorError) as caught:
            read_metadata(tmp_path / name)
        assert caught.value.code == code
        assert says in caught.value.message


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
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
