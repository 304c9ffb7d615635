"""Scaffolding writes a complete project or nothing."""

import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from fnkit.cli.app import VERBS
from fnkit.contract.enums import RuntimeStatus
from fnkit.contract.runtimes import find_runtime
from fnkit.errors import UsageError
from fnkit.scaffold import create_project, list_templates, project_name

TEMPLATES = [template.name for template in list_templates()]
PYTHON_TEMPLATES = [one.name for one in list_templates() if (one.folder / "pyproject.toml.jinja").is_file()]


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_default_template_is_listed_first() -> None:
    assert TEMPLATES == ["http", "api", "cron", "go", "node", "php", "queue", "rust", "sqs"]


@pytest.mark.parametrize("template", TEMPLATES)
def test_exactly_the_reported_files_are_created(tmp_path: Path, template: str) -> None:
    files = create_project(tmp_path / "deep" / "shop", template, {})
    assert tree(tmp_path) == {f"deep/shop/{name}" for name in files}


@pytest.mark.parametrize("template", TEMPLATES)
def test_project_name_in_settings_is_derived_from_the_folder(tmp_path: Path, template: str) -> None:
    create_project(tmp_path / "My Shop", template, {})
    if template in PYTHON_TEMPLATES:
        settings = tomllib.loads((tmp_path / "My Shop" / "pyproject.toml").read_text())
        assert settings["tool"]["fnkit"]["name"] == settings["project"]["name"] == "my-shop"
    else:
        assert tomllib.loads((tmp_path / "My Shop" / "fnkit.toml").read_text())["name"] == "my-shop"


@pytest.mark.parametrize("template", PYTHON_TEMPLATES)
def test_new_project_pins_a_runtime_that_accepts_new_functions(tmp_path: Path, template: str) -> None:
    create_project(tmp_path / "shop", template, {})
    runtime = tomllib.loads((tmp_path / "shop" / "pyproject.toml").read_text())["tool"]["fnkit"]["defaults"][
        "runtime"
    ]
    row = find_runtime(runtime)
    assert row is not None
    assert (row.language, row.status) == ("Python", RuntimeStatus.AVAILABLE)


@pytest.mark.long
@pytest.mark.parametrize("template", PYTHON_TEMPLATES)
def test_new_project_passes_its_own_tests(tmp_path: Path, template: str) -> None:
    create_project(tmp_path / "shop", template, {})
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "shop",
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("template", TEMPLATES)
def test_new_project_ignores_env_files_in_git(tmp_path: Path, template: str) -> None:
    create_project(tmp_path / "shop", template, {})
    ignored = (tmp_path / "shop" / ".gitignore").read_text().splitlines()
    assert {".env", ".env.*", "!.env.example"} <= set(ignored)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes")
def test_generated_secret_is_unique_and_its_file_private(tmp_path: Path) -> None:
    for name in ("one", "two"):
        create_project(tmp_path / name, "api", {})
        assert stat.S_IMODE((tmp_path / name / ".env").stat().st_mode) == 0o600
    assert (tmp_path / "one" / ".env").read_text() != (tmp_path / "two" / ".env").read_text()


def test_folder_that_is_not_empty_is_rejected_unchanged(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"not empty \(notes.txt\)") as raised:
        create_project(tmp_path, "http", {})
    assert raised.value.code == "not-empty"
    assert tree(tmp_path) == {"notes.txt"}


def test_folder_with_only_a_git_repository_is_accepted(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    files = create_project(tmp_path, "http", {})
    assert tree(tmp_path) == {*files, ".git/HEAD"}


def test_existing_file_at_the_path_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        create_project(tmp_path / "shop", "http", {})
    assert (tmp_path / "shop").read_text() == "mine"


def test_unknown_template_error_suggests_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        create_project(tmp_path / "shop", "htpt", {})
    assert raised.value.hint == "Did you mean `http`? Templates: http, api, cron, go, node, php, queue, rust, sqs."
    assert tree(tmp_path) == set()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root ignores file modes")
def test_unwritable_folder_is_left_unchanged(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        create_project(tmp_path / "shop", "http", {})
    tmp_path.chmod(0o700)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", [Path("shop"), Path()])
def test_failed_move_is_rolled_back(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / folder
    rename = Path.rename

    def failing(source: Path, target: Path) -> Path:
        if Path(target).name in {"main.py", "shop"}:
            raise OSError(28, "No space left on device", str(target))
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="No space left"):
        create_project(target, "http", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("shop", "shop"),
        ("My Shop_2", "my-shop-2"),
        ("Café", "cafe"),
        ("3D", "fn-3d"),
        ("日本", "functions"),
        ("--", "functions"),
        ("a" * 39 + "-b", "a" * 39),
    ],
)
def test_project_name_is_derived_from_the_folder_name(folder: str, name: str) -> None:
    assert project_name(folder) == name


@pytest.mark.slow
@pytest.mark.parametrize("template", TEMPLATES)
def test_new_project_passes_lint_and_format_checks(tmp_path: Path, template: str) -> None:
    create_project(tmp_path / "shop", template, {})
    for command in (["check", "--select", "E,F,I,UP,B,SIM"], ["format", "--check"]):
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length", "116", "."],
            cwd=tmp_path / "shop",
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout


@pytest.mark.long
@pytest.mark.parametrize("template", PYTHON_TEMPLATES)
def test_project_and_its_tests_pass_strict_type_checks(tmp_path: Path, template: str) -> None:
    create_project(tmp_path / "shop", template, {})
    ignored = ["--disable-error-code", "import-not-found"]  # nats-py of publish.py has to be installed
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--explicit-package-bases", *ignored, "."],
        cwd=tmp_path / "shop",
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("template", TEMPLATES)
def test_new_project_has_a_workflow_that_checks_plans_and_deploys(tmp_path: Path, template: str) -> None:
    create_project(tmp_path / "shop", template, {})
    workflow = yaml.safe_load((tmp_path / "shop" / ".github" / "workflows" / "fnkit.yml").read_text())
    commands = {
        name: [step["run"] for step in job["steps"] if "run" in step] for name, job in workflow["jobs"].items()
    }
    install = 'uv tool install "${FNKIT_SOURCE:?set the repository variable FNKIT_SOURCE}"'
    assert [command for command in commands["check"] if "rustup" not in command] == [
        install,
        "fnkit scan",
        "fnkit test",
    ]
    assert any(command.startswith("fnkit plan --markdown") for command in commands["plan"])
    assert commands["deploy"][-1] == "fnkit deploy"
    assert workflow["jobs"]["deploy"]["env"]["SCW_SECRET_KEY"] == "${{ secrets.SCW_SECRET_KEY }}"
    assert ("SIGNING_KEY" in workflow["jobs"]["plan"]["env"]) == (template == "api")


@pytest.mark.parametrize("template", TEMPLATES)
def test_commands_for_agents_exist(tmp_path: Path, template: str) -> None:
    create_project(tmp_path / "shop", template, {})
    text = (tmp_path / "shop" / "AGENTS.md").read_text()
    named = re.findall(r"^\| `fnkit ([a-z]+)", text, re.MULTILINE)
    assert named == ["scan", "test", "invoke", "deploy", "plan"]
    assert set(re.findall(r"`fnkit ([a-z]+)", text)) <= set(VERBS)
