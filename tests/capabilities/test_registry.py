"""The registry: who is found by name and by workflow, and what is said where two claim one or nobody does."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pytest

from conveyor import Capability, ConveyorError, Directory, load_config
from conveyor.capabilities.registry import Registry, capability_from_table

if TYPE_CHECKING:
    from pathlib import Path

PLUGIN = Capability("plugin", ("plug_*",), "qa2", (Directory("products"),))
OTHER = Capability("calibration", ("other",), "qa2", (Directory("products"),))
NOT_ONE = "a string"


def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toml: str = "", **points: str) -> Registry:
    """A registry with a configuration file and some packages' entry points."""
    file = tmp_path / "conveyor.toml"
    file.write_text(toml)
    entries = [EntryPoint(name, value, "conveyor.capabilities") for name, value in points.items()]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: entries)
    return Registry(load_config(config=file, environment={}))


def table(name: str, *workflows: str) -> str:
    return f"[capabilities.{name}]\nworkflows = {list(workflows)}\nqa_area = 'qa2'\ndirectories = ['products']\n"


def refusal(act: Any, *arguments: str) -> ConveyorError:
    with pytest.raises(ConveyorError) as caught:
        act(*arguments)
    return caught.value


def test_by_name_and_by_workflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Built-in, configured and packaged capabilities are found by both; an exact name goes before a pattern."""
    found = registry(monkeypatch, tmp_path, table("vlass", "vlass_*", "std_*"), plugin=f"{__name__}:PLUGIN")
    assert found.find("calibration").qa_area == "qa2"
    assert found.for_workflow("std_calibration").name == "calibration"
    assert found.for_workflow("std_other").name == "vlass"
    assert found.for_workflow("vlass_ql").name == "vlass"
    assert [entry.kind for entry in found.everything()] == ["built in", "built in", "package", "configuration"]


def test_a_name_that_two_own_names_both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A duplicate name is an error that names both owners: in the listing, with -c, and between file and built-in always."""
    twice = registry(monkeypatch, tmp_path, table("imaging", "x"))
    for error in (
        refusal(twice.everything),
        refusal(twice.find, "imaging"),
        refusal(twice.for_workflow, "std_calibration"),
    ):
        assert error.code == "capability-duplicate"
        assert "conveyor (built in" in error.message
        assert f"{tmp_path}/conveyor.toml (configuration" in error.message
    packaged = registry(monkeypatch, tmp_path, calibration=f"{__name__}:OTHER")
    assert refusal(packaged.find, "calibration").code == "capability-duplicate"
    assert refusal(packaged.everything).code == "capability-duplicate"


def test_a_workflow_that_two_claim_names_both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two equally strong claims on a workflow are an error when it is conveyed."""
    error = refusal(registry(monkeypatch, tmp_path, table("again", "std_calibration")).for_workflow, "std_calibration")
    assert error.code == "capability-duplicate"
    assert "'calibration'" in error.message
    assert "'again'" in error.message


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("no_such_module:X", "ModuleNotFoundError"),
        (f"{__name__}:NO_SUCH_NAME", "AttributeError"),
        (f"{__name__}:NOT_ONE", "is a str, not a conveyor.Capability"),
        (f"{__name__}:OTHER", "the entry point is called 'plugin', its capability 'calibration'"),
    ],
)
def test_a_broken_package_is_an_error_only_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, why: str
) -> None:
    """A package that cannot provide its capability is listed with the problem, and disturbs nobody else."""
    broken = registry(monkeypatch, tmp_path, plugin=value)
    [entry] = [one for one in broken.everything() if one.name == "plugin"]
    assert why in str(entry.problem)
    assert broken.find("calibration").name == "calibration"
    assert broken.for_workflow("std_cms_imaging").name == "imaging"
    error = refusal(broken.find, "plugin")
    assert (error.code, error.exit_code) == ("capability-broken", 78)
    assert why in error.message
    assert why in refusal(broken.for_workflow, "plug_x").message


def test_a_package_that_ends_the_program_or_prints_disturbs_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a broken one like any other, and stdout is the command's own."""
    (tmp_path / "leaves_at_once.py").write_text("print('loaded')\nraise SystemExit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = registry(monkeypatch, tmp_path, plugin="leaves_at_once:X").everything()
    assert [one.problem for one in found if one.name == "plugin"] == ["SystemExit: 0"]
    assert capsys.readouterr().out == ""


def test_what_nobody_claims_lists_what_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An unknown name or workflow is an error that lists the capabilities with their workflows."""
    found = registry(monkeypatch, tmp_path)
    for error in (refusal(found.find, "x"), refusal(found.for_workflow, "x")):
        assert error.code == "capability-unknown"
        assert "calibration (for std_calibration), imaging (for std_cms_imaging, std_restore_imaging)" in error.message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"qa_area": "a/b"}, "conveyor.toml: capabilities.mine: the QA area of 'mine' must be one plain name"),
        ({"directories": []}, "has no directories"),
        ({"directories": ["a", "a"]}, "names a directory twice"),
        ({"directories": [".conveyor"]}, "the name is Conveyor's own"),
        ({"directories": ["READY"]}, "the name is Conveyor's own"),
        ({"directories": [{"name": ".."}]}, "must be one plain name"),
        ({"weblog": {"directory": "working"}}, "which is not one of its directories"),
        ({"weblog": {"patern": "x"}}, "capabilities.mine.weblog"),
        ({"workflows": "x"}, "capabilities.mine.workflows"),
        ({"unknown": 1}, "capabilities.mine.unknown"),
        ({"name": "other"}, "capabilities.mine.name"),
        ({"directories": ["products", {"nam": "x"}]}, "capabilities.mine.directories.1.nam"),
        ({"directories": "products"}, "capabilities.mine.directories"),
        ({"weblog": {"required": "perhaps"}}, "capabilities.mine.weblog.required"),
        ({"marker": "READY.xml"}, "capabilities.mine.marker"),
        ({"before_delivery": ["checksum"]}, "capabilities.mine.before_delivery.0"),
    ],
)
def test_a_wrong_table_is_said_with_its_key(change: dict[str, Any], says: str) -> None:
    """What is wrong with a capability's table is one sentence with the key, and exit code 78."""
    values = {"workflows": ["w"], "qa_area": "qa2", "directories": ["products"], **change}
    error = refusal(lambda: capability_from_table("mine", values, "conveyor.toml"))
    assert error.exit_code == 78
    assert says in error.message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"workflow": ["w"]}, "capabilities.mine.workflow: is not known; did you mean 'workflows'?"),
        ({"qa-area": "qa2"}, "capabilities.mine.qa-area: is not known; did you mean 'qa_area'?"),
        ({"weblog": {"pattern": ["x"]}}, "capabilities.mine.weblog.pattern: is not known; did you mean 'patterns'?"),
        ({"xyzzy": 1}, "capabilities.mine.xyzzy: is not known"),
        ({"workflows": "vlass_*"}, "capabilities.mine.workflows: must be a list in square brackets, not 'vlass_*'"),
        ({"directories": "products"}, "capabilities.mine.directories: must be a list in square brackets"),
        ({"directories": 5}, "capabilities.mine.directories: must be a list in square brackets, not 5"),
        ({"weblog": {"patterns": "*.tgz"}}, "capabilities.mine.weblog.patterns: must be a list in square brackets"),
        ({"weblog": 5}, "capabilities.mine.weblog: must be a table, not 5"),
        ({"qa_area": None}, "capabilities.mine.qa_area: must be text in quotes, not None"),
    ],
)
def test_a_mistake_in_a_table_is_said_in_plain_words(change: dict[str, Any], says: str) -> None:
    """A key that is nearly right is answered with the right one, before the one that is missing in its place."""
    values = {"workflows": ["w"], "qa_area": "qa2", "directories": ["products"], **change}
    for key, meant in (("workflow", "workflows"), ("qa-area", "qa_area")):
        if key in change:
            del values[meant]
    error = refusal(lambda: capability_from_table("mine", values, "conveyor.toml"))
    assert says in error.message
    assert "conveyor config" not in error.hint


def test_a_table_says_all_that_a_package_can() -> None:
    """Every part of the description has its key."""
    values = {
        "workflows": ["w"],
        "qa_area": "area",
        "directories": ["products", {"name": "extra", "required": False}],
        "weblog": {"directory": "extra", "patterns": ["*.tar"], "required": True, "keep_after_qa_fail": False},
    }
    made = capability_from_table("mine", values, "conveyor.toml")
    assert made.directories == (Directory("products"), Directory("extra", required=False))
    assert made.weblog is not None
    assert (made.weblog.directory, made.weblog.required, made.weblog.keep_after_qa_fail) == ("extra", True, False)
    assert capability_from_table("mine", {**values, "weblog": False}, "conveyor.toml").weblog is None
    short = {"workflows": [], "qa_area": "area", "directories": ["products"]}
    assert capability_from_table("mine", {**short, "weblog": True}, "x") == capability_from_table("mine", short, "x")
    assert capability_from_table("mine", short, "x") == Capability("mine", (), "area", (Directory("products"),))
