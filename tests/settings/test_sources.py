"""Settings: the order of the sources, which of them won, and what is said of each mistake."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from conveyor import ConveyorError, load_config

if TYPE_CHECKING:
    from pathlib import Path

NAME = "edu.nrao.archive.workspaces.qaRoot"


@pytest.fixture
def capo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A CAPO profile with one property, and the table of a configuration file that maps it."""
    (tmp_path / "capo").mkdir()
    (tmp_path / "capo" / "test.properties").write_text(f"{NAME} = /from/capo\n")
    monkeypatch.setenv("CAPO_PATH", str(tmp_path / "capo"))
    monkeypatch.setenv("CAPO_PROFILE", "test")
    return f'[capo]\nqa_root = "{NAME.upper()}"\n'


def test_each_source_goes_before_the_next(tmp_path: Path, capo: str) -> None:
    """Flag, environment, file, CAPO, default: the strongest that names a setting wins, and is named as its source."""
    file = tmp_path / "conveyor.toml"
    seen = []
    everything: dict[str, Any] = {"flags": {"qa_root": "/from/flag"}, "environment": {"CONVEYOR_QA_ROOT": "/from/env"}}
    for toml in ('qa_root = "/from/file"\n' + capo, capo, ""):
        file.write_text(toml)
        while True:
            config = load_config(everything.get("flags"), file, everything.get("environment", {}))
            seen.append((str(config.values.qa_root), config.origins["qa_root"]))
            if not everything:
                break
            everything.pop(next(iter(everything)))
    assert seen == [
        ("/from/flag", "flag"),
        ("/from/env", "environment CONVEYOR_QA_ROOT"),
        ("/from/file", str(file)),
        ("/from/capo", f"CAPO property {NAME.upper()} in {tmp_path}/capo/test.properties"),
        ("None", "default"),
    ]


def test_the_file_is_found_where_it_is_usually(tmp_path: Path) -> None:
    """--config, CONVEYOR_CONFIG, the user's file and the system's are taken in this order."""
    places = {name: tmp_path / name / "conveyor" / "conveyor.toml" for name in ("user", "system")}
    for number, file in enumerate(places.values()):
        file.parent.mkdir(parents=True)
        file.write_text(f"jobs = {number + 2}")
    named = tmp_path / "named.toml"
    named.write_text("jobs = 9")
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "user"), "XDG_CONFIG_DIRS": f"/nowhere:{tmp_path / 'system'}"}
    assert load_config(environment=environment).values.jobs == 2
    places["user"].unlink()
    assert load_config(environment=environment).values.jobs == 3
    assert load_config(environment=environment | {"CONVEYOR_CONFIG": str(named)}).file == named
    assert load_config(config=places["system"], environment={"CONVEYOR_CONFIG": str(named)}).values.jobs == 3


def test_a_file_below_the_working_directory_is_not_usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of the XDG variables that is empty, as behind a trailing colon, or relative, is ignored as they say."""
    (tmp_path / "conveyor").mkdir()
    (tmp_path / "conveyor" / "conveyor.toml").write_text("jobs = 2")
    monkeypatch.chdir(tmp_path)
    assert load_config(environment={"XDG_CONFIG_HOME": ".", "XDG_CONFIG_DIRS": "/nowhere:"}).values.jobs == 1


@pytest.mark.parametrize(
    ("environment", "toml", "says"),
    [
        ({"CONVEYOR_SPOOLROOT": "/x"}, "", "CONVEYOR_SPOOLROOT is not a setting"),
        (
            {"CONVEYOR_QA_ROOT": "x/y"},
            "",
            "qa_root = 'x/y' (from environment CONVEYOR_QA_ROOT) is wrong: must be an absolute",
        ),
        ({"CONVEYOR_JOBS": "none"}, "", "jobs = 'none' (from environment CONVEYOR_JOBS) is wrong"),
        ({"CONVEYOR_CAPO": "{}"}, "", "CONVEYOR_CAPO is not a setting"),
        ({}, "jobs = 0", "the setting jobs = '0' (from {file}) is wrong"),
        ({}, "copy_max_rate = 'fast'", "the setting copy_max_rate = 'fast' (from {file}) is wrong"),
        ({}, "copy_max_rate = 0", "copy_max_rate = '0' (from {file}) is wrong: must be at least 1000 bytes"),
        ({"CONVEYOR_COPY_MAX_RATE": "999"}, "", "is wrong: must be at least 1000 bytes"),
        ({"CONVEYOR_COPY_BUFFER": "1k"}, "", "is wrong: must be at least 4096 bytes"),
        ({}, "qa-root = '/x'", "qa-root (from {file}) is not a setting"),
        ({}, "jobs =", "{file} is not TOML"),
        ({}, f"jobs = {'9' * 5000}", "{file} is not TOML"),
        ({}, f"jobs = {'[' * 3000}", "{file} is not TOML"),
        ({}, 'log_file = "/a\\u0000b"', "is wrong: must not have a null character in it"),
        ({}, "capo = 5", "the setting capo"),
        ({}, "[capo]\nnothing = 'x'", "names a setting that does not exist: 'nothing'"),
        ({}, "[capo]\nqa_root = 'x'", "no CAPO profile is chosen"),
    ],
)
def test_a_mistake_is_said_with_its_source(tmp_path: Path, environment: dict[str, str], toml: str, says: str) -> None:
    """What is wrong with a setting, and where it stands, is one sentence with exit code 78."""
    file = tmp_path / "conveyor.toml"
    file.write_text(toml)
    with pytest.MonkeyPatch.context() as patch:
        if "nothing" in toml:
            patch.setenv("CAPO_PROFILE", "test")
        with pytest.raises(ConveyorError) as caught:
            load_config(config=file, environment=environment)
    assert caught.value.exit_code == 78
    assert says.format(file=file) in caught.value.message
    assert caught.value.hint


def test_a_file_that_is_named_and_missing_is_an_error(tmp_path: Path) -> None:
    """Who names a file wants it read."""
    with pytest.raises(ConveyorError, match="cannot be read: No such file"):
        load_config(config=tmp_path / "missing.toml", environment={})


def test_capo_without_pycapo(tmp_path: Path, capo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapping to CAPO where pycapo is not installed says which extra to install."""
    (tmp_path / "conveyor.toml").write_text(capo)
    monkeypatch.setitem(sys.modules, "pycapo", None)
    with pytest.raises(ConveyorError) as caught:
        load_config(config=tmp_path / "conveyor.toml", environment={})
    assert "conveyor[capo]" in caught.value.hint


@pytest.mark.parametrize(
    "written",
    [
        "${env:UNSET}/spool",
        "${env:AREA}/${env:NAME}",
        "/mnt${env:AREA}",
        "${env:AREA2}/spool",
        "/mnt/${env:",
    ],
)
def test_a_capo_property_whose_variables_are_not_replaced_is_refused(
    tmp_path: Path, capo: str, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pycapo would make of it is another path than was meant; who sets it elsewhere is not kept by it."""
    properties, toml = tmp_path / "capo" / "test.properties", tmp_path / "conveyor.toml"
    properties.write_text(f"{NAME} = {written}\n")
    toml.write_text(capo)
    for variable, value in {"AREA": "/lustre", "NAME": "observer", "AREA2": "/lustre2"}.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(ConveyorError) as caught:
        load_config(config=toml, environment={})
    assert f"{NAME.upper()} in {properties} is '{written}', of which pycapo makes" in caught.value.message
    assert "set qa_root elsewhere" in caught.value.hint
    assert str(load_config({"qa_root": "/from/flag"}, toml, {}).values.qa_root) == "/from/flag"


def test_a_capo_property_may_begin_with_a_variable(tmp_path: Path, capo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is set is replaced, also where it stands twice."""
    (tmp_path / "capo" / "test.properties").write_text(f"{NAME} = ${{env:AREA}}/of${{env:AREA}}\n")
    (tmp_path / "conveyor.toml").write_text(capo)
    monkeypatch.setenv("AREA", "/qa")
    assert str(load_config(config=tmp_path / "conveyor.toml", environment={}).values.qa_root) == "/qa/of/qa"


def test_a_secret_in_capo_is_not_repeated(tmp_path: Path, capo: str) -> None:
    """Not even if there is a variable in it."""
    (tmp_path / "capo" / "test.properties").write_text(f"{NAME} = hunter${{env:2}}\n")
    (tmp_path / "conveyor.toml").write_text(capo.replace("qa_root", "smtp_password"))
    with pytest.raises(ConveyorError) as caught:
        load_config(config=tmp_path / "conveyor.toml", environment={})
    assert "has variables that are not replaced" in caught.value.message
    assert "hunter" not in caught.value.message


@pytest.mark.parametrize("content", [b"a = 1\na = 2\n", b"no value"])
def test_a_capo_profile_that_cannot_be_read_is_a_mistake(tmp_path: Path, capo: str, content: bytes) -> None:
    """pycapo's errors become one that names the profile."""
    (tmp_path / "capo" / "test.properties").write_bytes(content)
    (tmp_path / "conveyor.toml").write_text(capo)
    with pytest.raises(ConveyorError, match="the CAPO profile 'test' cannot be read") as caught:
        load_config(config=tmp_path / "conveyor.toml", environment={})
    assert caught.value.exit_code == 78


@pytest.mark.parametrize(
    ("text", "size"), [("5", 5), ("200M", 200_000_000), ("1.5GB", 1_500_000_000), ("64 KiB", 65_536)]
)
def test_a_size_has_a_unit_or_is_in_bytes(tmp_path: Path, text: str, size: int) -> None:
    """Wherever a size comes from, thousands and powers of 1024 are understood; without a unit it is in bytes."""
    (tmp_path / "conveyor.toml").write_text(f'weblog_max_bytes = "{text}"\n')
    environment = {"CONVEYOR_MIN_FREE_BYTES": text}
    config = load_config({"copy_max_rate": f"1000{text}"}, tmp_path / "conveyor.toml", environment).values
    assert {config.weblog_max_bytes, config.min_free_bytes} == {size}
    assert config.copy_max_rate is not None
    assert config.copy_max_rate >= 1000 * size


@pytest.mark.parametrize(
    "text",
    [
        "1,000M",
        "10 %",
        "200/3",
        "50,000 MB",
        "1_000M",
        "1e6",
        "-5M",
        "5 M B",
        "5MM",
        "0x10",
        "inf",
        "5 M/s",
        "M",
        "five",
        "٥",
    ],
)
@pytest.mark.parametrize("name", ["copy_max_rate", "weblog_max_bytes", "min_free_bytes", "copy_buffer"])
def test_all_of_a_size_has_to_fit(tmp_path: Path, name: str, text: str) -> None:
    """What only begins like a size is refused, from the file, the environment and the command line, and is shown."""
    file = tmp_path / "conveyor.toml"
    file.write_text(f'{name} = "{text}"\n')
    sources: list[dict[str, Any]] = [
        {"config": file, "environment": {}},
        {"environment": {f"CONVEYOR_{name.upper()}": text}},
        {"flags": {name: text}, "environment": {}},
    ]
    for source in sources:
        with pytest.raises(ConveyorError, match="must be a size such as") as caught:
            load_config(**source)
        assert repr(text) in caught.value.message


@pytest.mark.parametrize(
    ("toml", "says"), [("true", "not True"), ("[5]", "not [5]"), ("1.5", "not 1.5"), ("{}", "not {}")]
)
def test_a_size_is_a_number_or_text(tmp_path: Path, toml: str, says: str) -> None:
    """A value of another kind is refused in words of its own."""
    (tmp_path / "conveyor.toml").write_text(f"copy_max_rate = {toml}\n")
    with pytest.raises(ConveyorError) as caught:
        load_config(config=tmp_path / "conveyor.toml", environment={})
    assert says in caught.value.message


# A mistake in a name, as a variable or in a file, and what the hint has.
NEARLY: list[tuple[dict[str, str], str, str]] = [
    ({"CONVEYOR_SPOLL_ROOT": "/x"}, "", "did you mean CONVEYOR_SPOOL_ROOT?"),
    ({"CONVEYOR_CONFIGS": "/x"}, "", "did you mean CONVEYOR_CONFIG?"),
    ({"CONVEYOR_MAX_RATE": "1M"}, "", "did you mean CONVEYOR_COPY_MAX_RATE?"),
    ({"CONVEYOR_XYZZY": "1"}, "", "the variables are CONVEYOR_SPOOL_ROOT, "),
    ({}, "spool_rot = '/x'", "did you mean spool_root?"),
    ({}, "Spool-Root = '/x'", "did you mean spool_root?"),
    ({}, "[capability.x]\nworkflows = ['w']", "did you mean capabilities?"),
    ({}, "xyzzy = 1", "the settings are spool_root, "),
    ({}, "[capo]\nspool_rot = 'x'", "did you mean spool_root?"),
]


@pytest.mark.parametrize(("environment", "toml", "hint"), NEARLY, ids=str)
def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(
    tmp_path: Path, environment: dict[str, str], toml: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint has the one name that was meant; all names only if none is near."""
    (tmp_path / "conveyor.toml").write_text(toml)
    monkeypatch.setenv("CAPO_PROFILE", "test")
    with pytest.raises(ConveyorError) as caught:
        load_config(config=tmp_path / "conveyor.toml", environment=environment)
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("jobs = 'many'", "must be a whole number, not 'many'"),
        ("jobs = 1.5", "must be a whole number, not 1.5"),
        ("jobs = 0", "must be above 0, not 0"),
        ("links = 'hard'", "must be one of 'auto', 'relative' or 'absolute', not 'hard'"),
        ("spool_root = 5", "must be a path in quotes, not 5"),
        ("capabilities = 5", "must be a table, not 5"),
        ("[capo]\nspool_root = 5", "must be text in quotes, not 5"),
    ],
)
def test_what_is_wrong_with_a_value_is_said_in_plain_words(
    tmp_path: Path, toml: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says what the value must be, and which it is; the hint does not lead to a command that fails likewise."""
    (tmp_path / "conveyor.toml").write_text(toml)
    monkeypatch.setenv("CAPO_PROFILE", "test")
    with pytest.raises(ConveyorError) as caught:
        load_config(config=tmp_path / "conveyor.toml", environment={})
    assert says in caught.value.message
    assert "conveyor config" not in caught.value.hint


def test_a_file_that_cannot_be_read_is_not_explained_by_itself(tmp_path: Path) -> None:
    """Of a file that is missing, a directory, or no TOML, the hint is no command that reads it again."""
    (tmp_path / "wrong.toml").write_text("jobs =")
    for file in (tmp_path / "missing.toml", tmp_path, tmp_path / "wrong.toml"):
        with pytest.raises(ConveyorError) as caught:
            load_config(config=file, environment={})
        assert "conveyor config" not in caught.value.hint


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    """A file that an editor of another system wrote is read."""
    (tmp_path / "conveyor.toml").write_bytes(b"\xef\xbb\xbfjobs = 3\n")
    assert load_config(config=tmp_path / "conveyor.toml", environment={}).values.jobs == 3
