"""The page "add a capability", followed to the letter: its package is built and installed, its table is configured."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.workspace import make_workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.workspace import Workspace

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def _installer() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--disable-pip-version-check", "install"]
    if found := shutil.which("uv"):
        return [found, "pip", "install", "--python", sys.executable, "--offline"]
    pytest.fail("this test installs a package: it needs pip in this environment, or uv on the PATH")


def _install(source: Path, target: Path) -> Path:
    """Install a package from its source into a folder of its own, by its own build backend, without the network."""
    assert importlib.util.find_spec("hatchling"), "this test builds a package: it needs hatchling in this environment"
    ran = subprocess.run(
        [*_installer(), "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", target, source],
        env={**os.environ, "HOME": str(source.parent), "TMPDIR": str(source.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return target


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the documentation's example package is installed in."""
    base = tmp_path_factory.mktemp("example")
    source = base / "conveyor-vlass"
    shutil.copytree(EXAMPLES / "conveyor-vlass", source, ignore=shutil.ignore_patterns("__pycache__"))
    return _install(source, base / "site")


def _package(tmp_path: Path, name: str, entry_point: str, code: str) -> Path:
    """Another package, made from the example by changing its name, its entry point and its code."""
    source = tmp_path / name
    module = name.replace("-", "_")
    shutil.copytree(EXAMPLES / "conveyor-vlass", source, ignore=shutil.ignore_patterns("__pycache__"))
    (source / "src" / "conveyor_vlass").rename(source / "src" / module)
    project = (source / "pyproject.toml").read_text()
    project = project.replace('vlass = "conveyor_vlass:VLASS"', entry_point).replace("conveyor-vlass", name)
    (source / "pyproject.toml").write_text(project)
    (source / "src" / module / "__init__.py").write_text(code)
    return _install(source, tmp_path / f"{name}-site")


def _program(*sites: Path) -> Callable[..., tuple[int, dict[str, Any], str]]:
    """The program in a process of its own that sees the installed packages: exit status, document, stderr."""

    def call(*arguments: str | Path) -> tuple[int, dict[str, Any], str]:
        ran = subprocess.run(
            [sys.executable, "-m", "conveyor", *map(str, arguments), "--json"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sites))},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return ran.returncode, json.loads(ran.stdout), ran.stderr

    return call


def _vlass(tmp_path: Path) -> Workspace:
    workspace = make_workspace(tmp_path / "workspaces")
    workspace.write_metadata(workflowName="vlass_calibration")
    return workspace


def test_an_installed_package_is_listed_with_its_owner(example: Path) -> None:
    """The listing says that the capability comes from a package, from which one, and what it declares."""
    status, document, _ = _program(example)("capabilities")
    assert status == 0
    entries = {entry["name"]: entry for entry in document["capabilities"]}
    assert {"calibration", "imaging", "vlass"} <= set(entries)
    vlass = entries["vlass"]
    assert (vlass["kind"], vlass["owner"], vlass["problem"]) == ("package", "conveyor-vlass 1.0", None)
    assert vlass["directories"][0] == {"name": "rawdata", "required": False}
    assert vlass["weblog"]["required"] is True


def test_a_request_goes_out_and_home_by_an_installed_package(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package's capability is found by the workflow that it claims; its own steps run first and last."""
    workspace = _vlass(tmp_path)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    monkeypatch.setenv("VLASS_INBOX", str(inbox))
    program = _program(example)
    status, document, errors = program("deliver", workspace.metadata)
    assert status == 0, errors
    (delivered,) = document["requests"]
    assert (delivered["capability"], delivered["state"]) == ("vlass", "in-qa")
    assert (workspace.qa / "working" / "folder" / "file.txt").read_text() == "the content of working\n"
    assert (workspace.qa / "READY").is_file()
    assert delivered["steps"][0]["step"] == "vlass-checksums"
    assert "weblog.tgz" in (workspace.qa / "products" / "SHA256SUMS").read_text()
    status, document, errors = program("retrieve", workspace.metadata)
    assert status == 0, errors
    assert document["requests"][0]["state"] == "in-spool"
    assert [step["step"] for step in document["requests"][0]["steps"]][-2] == "vlass-announcement"
    assert [path.name for path in inbox.iterdir()] == [f"{workspace.request}.json"]
    assert not workspace.qa.exists()
    assert not (workspace.spool / "working").is_symlink()


def test_a_workflow_without_its_package_is_unknown(tmp_path: Path) -> None:
    """Without the package installed, nobody claims the workflow: the error lists the capabilities that there are."""
    status, document, _ = _program()("deliver", _vlass(tmp_path).metadata)
    assert status == 78
    assert document["requests"][0]["error"]["code"] == "capability-unknown"
    assert "calibration" in document["requests"][0]["error"]["message"]


def test_a_request_goes_out_and_home_by_a_table_of_the_configuration_file(tmp_path: Path) -> None:
    """The documentation's table makes a capability; a directory that it does not name stays in spool."""
    workspace = make_workspace(tmp_path / "workspaces")
    workspace.write_metadata(workflowName="restore_13B-014")
    config = EXAMPLES / "conveyor.toml"
    program = _program()
    status, document, errors = program("deliver", "--config", config, workspace.metadata)
    assert status == 0, errors
    (delivered,) = document["requests"]
    assert (delivered["capability"], delivered["state"]) == ("restore", "in-qa")
    assert delivered["directories"] == {"products": "in-qa", "working": "in-qa"}
    assert (workspace.spool / "rawdata" / "folder").is_dir()
    assert not (workspace.spool / "rawdata").is_symlink()
    status, document, errors = program("qa-fail", "--config", config, workspace.metadata)
    assert status == 0, errors
    assert document["requests"][0]["state"] == "in-spool"
    assert not workspace.weblog.exists()  # as the table says


def test_two_owners_of_one_name_are_both_named(example: Path, tmp_path: Path) -> None:
    """A package and a table of one name: an error in the listing and with -c, which names both owners."""
    workspace = _vlass(tmp_path)
    config = tmp_path / "conveyor.toml"
    config.write_text('[capabilities.vlass]\nworkflows = ["own"]\nqa_area = "qa2"\ndirectories = ["products"]\n')
    program = _program(example)
    status, document, _ = program("capabilities", "--config", config)
    assert (status, document["error"]["code"]) == (78, "capability-duplicate")
    assert "conveyor-vlass 1.0" in document["error"]["message"]
    assert str(config) in document["error"]["message"]
    status, document, _ = program("deliver", "-c", "vlass", "--config", config, workspace.metadata)
    assert (status, document["requests"][0]["error"]["code"]) == (78, "capability-duplicate")


def test_a_package_that_takes_a_built_in_name_is_an_error(tmp_path: Path) -> None:
    """A package cannot take a built-in capability's name unnoticed."""
    code = (
        "from conveyor import Capability, Directory\n"
        'OWN = Capability("calibration", ("own",), "qa2", (Directory("products"),))\n'
    )
    site = _package(tmp_path, "conveyor-taken", 'calibration = "conveyor_taken:OWN"', code)
    status, document, _ = _program(site)("capabilities")
    assert (status, document["error"]["code"]) == (78, "capability-duplicate")
    assert "conveyor (built in" in document["error"]["message"]
    assert "conveyor-taken 1.0" in document["error"]["message"]


def test_a_broken_package_is_a_warning_unless_it_is_asked_for(example: Path, tmp_path: Path) -> None:
    """A package that cannot be imported is listed with its problem; only a request that asks for it fails."""
    site = _package(
        tmp_path, "conveyor-broken", 'broken = "conveyor_broken:BROKEN"', "import a_module_that_there_is_not\n"
    )
    program = _program(site, example)
    status, document, errors = program("capabilities")
    assert status == 0
    broken = next(entry for entry in document["capabilities"] if entry["name"] == "broken")
    assert (broken["kind"], broken["owner"]) == ("package", "conveyor-broken 1.0")
    assert "a_module_that_there_is_not" in broken["problem"]
    (warning,) = [json.loads(line) for line in errors.splitlines()]
    assert (warning["level"], warning["owner"]) == ("warning", "conveyor-broken 1.0")

    workspace = _vlass(tmp_path)
    status, document, _ = program("deliver", "-c", "broken", workspace.metadata)
    assert (status, document["requests"][0]["error"]["code"]) == (78, "capability-broken")
    assert "conveyor-broken 1.0" in document["requests"][0]["error"]["message"]
    assert program("deliver", workspace.metadata)[0] == 0
    assert program("retrieve", "-c", "vlass", workspace.metadata)[0] == 0
