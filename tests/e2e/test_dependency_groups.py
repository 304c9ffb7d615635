"""A function has the packages of its own dependency groups alone: deployed, invoked, in dev, and in tests."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Command
from tests.support.dev_session import dev_session
from tests.support.package_index import PackageIndex, make_wheel, only_package_index
from tests.support.platform import PlatformUnderTest, call_function
from tests.support.project_tree import write_files

RUNTIME = f"python{sys.version_info[0]}{sys.version_info[1]}"
SETTINGS = f"""[project]
name = "gallery"
version = "1"
dependencies = ["plain"]

[dependency-groups]
aws = ["Boto-Lib<CEILING", {{include-group = "common"}}]
common = ["shared"]
dev = ["checker"]

[tool.fnkit]
defaults.runtime = "{RUNTIME}"
"""
CODE = '"""Says which packages can be imported."""\n\nVERSIONS = {}\n' + "".join(
    f"try:\n    import {name}\n\n    VERSIONS[{name!r}] = {name}.VERSION\nexcept ImportError:\n    pass\n"
    for name in ("plain", "botolib", "shared", "checker")
)
HELLO = (
    "from fnkit import function\nfrom packages import VERSIONS\n\n"
    "@function\ndef hello(event, context):\n    return VERSIONS\n"
)
THUMBS = (
    "import botolib\nfrom fnkit import function\nfrom packages import VERSIONS\n\n"
    '@function(groups=["aws"])\ndef thumbs(event, context):\n    return VERSIONS\n'
)
LARGE = 500_000
"""Bytes of the package that only one of the functions has."""
OLD, NEW = {"botolib": "1.0", "plain": "1.0", "shared": "1.0"}, {"botolib": "2.0", "plain": "1.0", "shared": "1.0"}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    with only_package_index(tmp_path, monkeypatch) as server:
        for version in ("1.0", "2.0"):
            files: dict[str, str | bytes] = {
                "botolib/__init__.py": f"VERSION = {version!r}\n",
                "botolib/data.bin": os.urandom(LARGE),
            }
            make_wheel(server.folder, "boto_lib", version, files=files)
        for package in ("plain", "shared", "checker"):
            make_wheel(server.folder, package)
        yield server


@pytest.fixture
def gallery(project: Path, index: PackageIndex) -> Path:
    assert index.folder.is_dir()
    write_files(project, {"packages.py": CODE, "hello.py": HELLO, "thumbs.py": THUMBS})
    set_ceiling(project, 2)
    return project


def set_ceiling(project: Path, ceiling: int) -> None:
    """Write the settings, with a bound for the package of the group."""
    (project / "pyproject.toml").write_text(SETTINGS.replace("CEILING", str(ceiling)))


def actions(document: dict[str, Any]) -> dict[str, str]:
    return {str(one["name"]): str(one["action"]) for one in document["functions"]}


def members(archive: Path) -> set[str]:
    """Return what is in the directory of packages, without metadata."""
    with zipfile.ZipFile(archive) as content:
        names = {name.split("/")[1] for name in content.namelist() if name.startswith("package/")}
    return {name for name in names if not name.endswith(".dist-info")} - {"fnkit"}


@pytest.mark.long
def test_deployed_function_has_only_the_packages_of_its_groups(gallery: Path, platform: PlatformUnderTest) -> None:
    fnkit = platform.command

    def deploy() -> dict[str, Any]:
        return fnkit("deploy", "--local", "--json").ok().json()

    first = deploy()
    domains = {str(one["name"]): str(one["domain"]) for one in first["functions"]}

    def answer(name: str) -> object:
        return json.loads(call_function(platform, domains[name]).body)

    assert answer("hello") == {"plain": "1.0"}
    assert answer("thumbs") == OLD
    assert LARGE < int(first["uploaded_bytes"]) < 2 * LARGE

    bundles = fnkit("bundle", "--target", "local", "--json").ok().json()["bundles"]
    assert isinstance(bundles, list)
    by_groups = {tuple(one["groups"]): one for one in bundles}
    assert members(Path(by_groups[()]["path"])) == {"plain"}
    assert members(Path(by_groups[("aws",)]["path"])) == {"plain", "botolib", "shared"}
    assert [one["name"] for one in by_groups[("aws",)]["dependencies"]] == ["boto-lib", "plain", "shared"]

    assert actions(deploy()) == {"hello": "keep", "thumbs": "keep"}
    set_ceiling(gallery, 3)
    assert actions(deploy()) == {"hello": "keep", "thumbs": "keep"}  # the locked version still fits
    fnkit("lock", "--target", "local", "--upgrade").ok()
    assert actions(deploy()) == {"hello": "keep", "thumbs": "update"}
    assert (answer("hello"), answer("thumbs")) == ({"plain": "1.0"}, NEW)

    (gallery / "thumbs.py").write_text(THUMBS + "# more\n")
    edited = deploy()
    assert actions(edited) == {"hello": "keep", "thumbs": "update"}
    assert 0 < int(edited["uploaded_bytes"]) < LARGE  # the end of its own archive
    assert answer("thumbs") == NEW

    # hello gets the group too: it is updated, and thumbs is not.
    (gallery / "hello.py").write_text(HELLO.replace("@function\n", '@function(groups=["AWS"])\n'))
    assert actions(deploy()) == {"hello": "update", "thumbs": "keep"}
    assert answer("hello") == NEW
    (gallery / "hello.py").write_text(HELLO)
    assert actions(deploy()) == {"hello": "update", "thumbs": "keep"}
    assert answer("hello") == {"plain": "1.0"}


@pytest.mark.long
@pytest.mark.usefixtures("gallery")
def test_invoked_handler_has_only_the_packages_of_its_groups(fnkit: Command) -> None:
    bodies = {name: fnkit("invoke", name, "--json").ok().json()["body"] for name in ("hello", "thumbs")}
    assert json.loads(str(bodies["hello"])) == {"plain": "1.0"}
    assert json.loads(str(bodies["thumbs"])) == OLD


@pytest.mark.long
def test_function_in_dev_has_only_the_packages_of_its_groups(gallery: Path, tmp_path: Path) -> None:
    with dev_session(gallery, tmp_path / "home", cache=tmp_path / "cache") as session:
        session.wait_for("serving")
        assert json.loads(session.get("hello")[1]) == {"plain": "1.0"}
        assert json.loads(session.get("thumbs")[1]) == OLD
        (gallery / "thumbs.py").write_text(THUMBS.replace("return VERSIONS", 'return {**VERSIONS, "more": 1}'))
        session.wait_for("reloaded", lambda item: item["functions"] == [{"name": "thumbs", "action": "reloaded"}])
        assert json.loads(session.get("thumbs")[1]) == {**OLD, "more": 1}
        (gallery / "hello.py").write_text(HELLO.replace("@function\n", '@function(groups=["aws"])\n'))
        session.wait_for("reloaded", lambda item: item["functions"] == [{"name": "hello", "action": "updated"}])
        assert json.loads(session.get("hello")[1]) == OLD


def test_import_without_its_group_is_a_problem_that_names_it(gallery: Path, fnkit: Command) -> None:
    (gallery / "hello.py").write_text("import checker\nimport shared\n" + HELLO)
    failed = fnkit("bundle", "--json")
    error = failed.json()["error"]
    assert isinstance(error, dict)
    assert (error["code"], error["file"], error["line"]) == ("missing-requirement", "hello.py", 1)
    assert error["message"] == "hello imports checker, which only the dependency group dev provides."
    (gallery / "hello.py").write_text("import shared\n" + HELLO)
    fnkit("lock").ok()
    assert "which only the dependency groups aws, common provide" in fnkit("bundle").stderr


def test_scan_lists_groups(gallery: Path, fnkit: Command) -> None:
    assert gallery.is_dir()
    functions = fnkit("scan", "--json").ok().json()["functions"]
    assert isinstance(functions, list)
    assert {one["name"]: one["groups"] for one in functions} == {"hello": [], "thumbs": ["aws"]}


@pytest.mark.long
def test_tests_have_the_packages_of_all_functions(gallery: Path, fnkit: Command, index: PackageIndex) -> None:
    runner = "".join(f"import {name}\n" for name in ("plain", "botolib", "shared", "checker", "distant"))
    runner += "print('pytest', botolib.VERSION, distant.VERSION)\n"
    make_wheel(index.folder, "pytest", files={"pytest/__init__.py": "", "pytest/__main__.py": runner})
    make_wheel(index.folder, "distant")
    settings = (gallery / "pyproject.toml").read_text()
    far = "[dependency-groups]\nfar = ['distant']\n"
    (gallery / "pyproject.toml").write_text(settings.replace("[dependency-groups]\n", far))
    other = f"python3{12 if sys.version_info[1] != 12 else 13}"
    decorator = f"@function(runtime={other!r}, groups=['far'])"
    (gallery / "far.py").write_text(f"from fnkit import function\n\n{decorator}\ndef far(event, context): ...\n")
    assert "pytest 1.0 1.0" in fnkit("test").ok().stdout
