"""The distribution's name, and that nothing installs it from a package index, where it is not published.

``fnkit`` on PyPI is an unrelated project, so such a command would run foreign code.
"""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fnkit
from fnkit.contract.distribution import DISTRIBUTION, OWN_REQUIREMENTS, extra_install_hint
from fnkit.scaffold import create_project, list_templates
from tests.support.source_tree import REPOSITORY

FOLDERS = ("fnkit", "templates", "examples", "docs", "tests", "benchmarks", ".ci", ".github")
TOP_FILES = ("Makefile", "pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
BINARY_SUFFIXES = {".pyc", ".png", ".gz", ".zip", ".whl"}

INDEX_INSTALLATION = re.compile(
    r"""
    \b(?: pipx? | pip3 | uv(?:\s+(?:pip|tool))? | poetry | pdm | rye )
      \s+ (?: install | add | run | inject | download )
      (?: \s+ (?!in\b|from\b|of\b|&&|[|;]) [^\s`]+ )*? \s+ ["']? fnkit(?:-deploy)? (?![\w/-])
    | \b uvx \s+ (?: --from \s+ )? ["']? fnkit(?:-deploy)? (?![\w/-])
    | \b fnkit(?:-deploy)? \[ [a-z]
    """,
    re.VERBOSE,
)


EXTRA = re.compile(r"""(?:\.\[|extra_install_hint\(['"])(\w+)(?=\]['"]|['"]\))""")


def text_files() -> list[Path]:
    """Return every text file of the repository except this one."""
    in_folders = (path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*"))
    found = [*in_folders, *(REPOSITORY / name for name in TOP_FILES)]
    return sorted(
        path
        for path in found
        if path.is_file()
        and path.suffix not in BINARY_SUFFIXES
        and not {"__pycache__", "node_modules", ".ruff_cache", ".fnkit"} & set(path.parts)
        and path != Path(__file__)
    )


def requirements_of(pyproject: Path) -> list[Requirement]:
    """Return everything that a project declares: its dependencies and those of its groups."""
    document = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    groups: dict[str, list[str]] = document.get("dependency-groups", {})
    declared: list[str] = document["project"].get("dependencies", [])
    return [Requirement(one) for one in [*declared, *(one for group in groups.values() for one in group)]]


def own_requirements(pyproject: Path) -> list[str]:
    return [one.name for one in requirements_of(pyproject) if canonicalize_name(one.name) in OWN_REQUIREMENTS]


def test_pyproject_and_installed_metadata_have_the_distribution_name() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == DISTRIBUTION
    assert project["version"] == version(DISTRIBUTION) == fnkit.__version__


def test_every_extra_named_in_a_hint_exists() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {extra for path in text_files() for extra in EXTRA.findall(path.read_text(encoding="utf-8"))}
    assert "queues" in named
    assert named <= set(project["optional-dependencies"])


def test_no_file_installs_fnkit_from_an_index() -> None:
    found = {
        f"{path.relative_to(REPOSITORY)}: {match[0]}"
        for path in text_files()
        for match in INDEX_INSTALLATION.finditer(path.read_text(encoding="utf-8"))
    }
    assert found == set()


PYTHON_TEMPLATES = [one.name for one in list_templates() if (one.folder / "pyproject.toml.jinja").is_file()]


@pytest.mark.parametrize("template", PYTHON_TEMPLATES)
def test_new_project_does_not_require_fnkit(tmp_path: Path, template: str) -> None:
    create_project(tmp_path / "shop", template, {})
    assert own_requirements(tmp_path / "shop" / "pyproject.toml") == []


@pytest.mark.parametrize("example", ["hello", "invoices", "orders"])
def test_example_does_not_require_fnkit(example: str) -> None:
    assert own_requirements(REPOSITORY / "examples" / example / "pyproject.toml") == []


@pytest.mark.parametrize(
    "text",
    [
        "pip install fnkit",
        "pip install 'fnkit[queues]'",
        "pip install --force-reinstall fnkit`",
        "pip install --upgrade requests\n    fnkit==0.6",
        "pip install fnkit-deploy",
        "pipx install fnkit",
        "uv tool install fnkit",
        "uv pip install fnkit",
        "uv add --dev fnkit",
        "uvx fnkit deploy",
        "poetry add fnkit",
        "NATS needs fnkit[queues]",
    ],
)
def test_installation_from_an_index_is_detected(text: str) -> None:
    assert INDEX_INSTALLATION.search(text)


@pytest.mark.parametrize(
    "text",
    [
        extra_install_hint("queues"),
        "pip install .",
        "`pip install '.[queues]'` in a clone of fnkit",
        "pip install --group dev PATH, with the path of a clone of fnkit",
        "uv tool install . && fnkit new shop",
        "python -m pip install /opt/fnkit/dist/some.whl",
        "[tool.fnkit]",
    ],
)
def test_installation_from_a_clone_is_not_detected(text: str) -> None:
    assert not INDEX_INSTALLATION.search(text)
