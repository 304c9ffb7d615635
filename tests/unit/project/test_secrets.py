"""Secret values: their sources and precedence, and that no output contains them."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from fnkit.errors import ProjectInvalid
from fnkit.project import Project, read_secret_values
from fnkit.project.dotenv import DotenvError, parse_dotenv
from fnkit.project.secrets import SecretValues
from tests.support.project_tree import SETTINGS, build_files, locations, write_files

APP = "from fnkit import function\n@function(secrets=['KEY'])\ndef hello(event, context): ...\n"


def project(root: Path, *, stage: str = "", settings: str = "") -> Project:
    return build_files(root, {"app.py": APP, "fnkit.toml": SETTINGS + settings}, stage=stage)


def invalid(one: Project, environ: dict[str, str]) -> ProjectInvalid:
    with pytest.raises(ProjectInvalid) as raised:
        read_secret_values(one, environ)
    return raised.value


def test_environment_overrides_stage_file_and_stage_file_overrides_env(tmp_path: Path) -> None:
    prod = project(tmp_path, stage="prod")
    write_files(tmp_path, {".env": "KEY=plain\n"})
    assert dict(read_secret_values(prod, {})) == {"KEY": "plain"}
    write_files(tmp_path, {".env.prod": "KEY=staged\n"})
    assert dict(read_secret_values(prod, {})) == {"KEY": "staged"}
    assert dict(read_secret_values(prod, {"KEY": "set"})) == {"KEY": "set"}
    assert dict(read_secret_values(project(tmp_path), {})) == {"KEY": "plain"}


def test_secrets_of_the_namespace_are_read(tmp_path: Path) -> None:
    one = project(tmp_path, settings="[namespace]\nsecrets = ['SPACE']\n")
    assert dict(read_secret_values(one, {"KEY": "a", "SPACE": "b", "OTHER": "c"})) == {"KEY": "a", "SPACE": "b"}


def test_missing_secret_is_reported_at_its_declaration(tmp_path: Path) -> None:
    error = invalid(project(tmp_path, stage="prod", settings="[namespace]\nsecrets = ['SPACE']\n"), {})
    assert locations(error.problems) == ["missing-secret app.py:2", "missing-secret fnkit.toml:3"]
    assert error.problems[0].hint == "Set it in the environment or .env.prod or .env."


def test_empty_secret_value_is_valid(tmp_path: Path) -> None:
    assert dict(read_secret_values(project(tmp_path), {"KEY": ""})) == {"KEY": ""}


def test_repr_str_and_tracebacks_contain_no_secret_value(tmp_path: Path) -> None:
    values = read_secret_values(project(tmp_path), {"KEY": "hunter2"})
    assert repr(values) == str(values) == f"{values}" == "SecretValues(KEY)"
    try:
        values["hunter3"]
    except KeyError:
        assert "hunter2" not in traceback.format_exc()
    assert isinstance(values, SecretValues)


def test_too_long_secret_is_reported_without_its_value(tmp_path: Path) -> None:
    assert dict(read_secret_values(project(tmp_path), {"KEY": "é" * 32_768})) == {"KEY": "é" * 32_768}
    error = invalid(project(tmp_path), {"KEY": "é" * 32_768 + "x"})
    assert locations(error.problems) == ["secret-too-long app.py:2"]
    assert "é" not in str(error.problems)


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"KEY=1\nhunter2\n", 2), (b"KEY='hunter2\nmore\n", 1), (b"KEY='hunter2' hunter3\n", 1), (b"\xff", 1)],
    ids=["no name", "unclosed quote", "text after quote", "not utf-8"],
)
def test_invalid_env_file_is_reported_without_its_text(tmp_path: Path, content: bytes, line: int) -> None:
    one = project(tmp_path)
    (tmp_path / ".env").write_bytes(content)
    error = invalid(one, {"KEY": "x"})
    assert locations(error.problems) == [f"bad-dotenv .env:{line}"]
    assert "hunter" not in str(error.problems)


def test_env_file_that_is_a_link_out_of_the_project_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("KEY=hunter2\n")
    root = tmp_path / "shop"
    one = project(root)
    (root / ".env").symlink_to(tmp_path / "credentials")
    error = invalid(one, {})
    assert "bad-dotenv .env:1" in locations(error.problems)
    assert "hunter2" not in str(error.problems)


def test_folder_named_env_is_reported(tmp_path: Path) -> None:
    one = project(tmp_path)
    (tmp_path / ".env").mkdir()
    assert locations(invalid(one, {"KEY": "x"}).problems) == ["bad-dotenv .env:1"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1\nB=2", {"A": "1", "B": "2"}),
        ("  export A = 1 \r\nB=\r\n", {"A": "1", "B": ""}),
        ("# A=1\n\n\tB=2 # two\n", {"B": "2"}),
        ("A=a#b\nB=# nothing", {"A": "a#b", "B": ""}),
        ("A='x # y' # z", {"A": "x # y"}),
        ("A='it\\n'\nB=\"it\\n\"", {"A": "it\\n", "B": "it\n"}),
        ('A="say \\"hi\\" \\$HOME \\\\ \\q"', {"A": 'say "hi" $HOME \\ \\q'}),
        ("A='-----BEGIN\nKEY-----\n'\nB=1", {"A": "-----BEGIN\nKEY-----\n", "B": "1"}),
        ("A=postgres://u:p=1@h/d?x=$y", {"A": "postgres://u:p=1@h/d?x=$y"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=it's", {"A": "it's"}),
        ("", {}),
    ],
)
def test_dotenv_text_is_parsed(text: str, values: dict[str, str]) -> None:
    assert parse_dotenv(text) == values


@pytest.mark.parametrize(("text", "line"), [("A=1\n=2", 2), ("A=1\n\n1A=2", 3), ("A='x\ny' z", 2), ('A="x', 1)])
def test_dotenv_error_has_the_line_number(text: str, line: int) -> None:
    with pytest.raises(DotenvError) as raised:
        parse_dotenv(text)
    assert raised.value.line == line
