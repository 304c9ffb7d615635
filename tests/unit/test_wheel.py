"""fnkit works outside the repository: installed from the wheel in a clean environment, and as editable."""

import os
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.support.installation import Installation, build_wheel, install
from tests.support.source_tree import PACKAGE, REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module", params=["wheel", pytest.param("editable", marks=pytest.mark.long)])
def installation(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Installation:
    arguments = [str(wheel)] if request.param == "wheel" else ["--editable", str(REPOSITORY)]
    return install(tmp_path_factory.mktemp("environment") / "env", *arguments)


def test_wheel_contains_exactly_the_modules_and_templates(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packaged = {name for name in archive.namelist() if ".dist-info/" not in name}
    code = {
        path.relative_to(REPOSITORY).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    templates = {
        f"fnkit/scaffold/templates/{path.relative_to(REPOSITORY / 'templates').as_posix()}"
        for path in (REPOSITORY / "templates").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packaged == code | templates
    assert "fnkit/py.typed" in packaged


def test_wheel_is_reproducible(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "elsewhere"
    source.mkdir()
    for name in ("fnkit", "templates", "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, source / name)
    for number, path in enumerate(sorted(source.rglob("*"))):
        os.utime(path, (number, 1_000_000_000 + number))
        path.chmod(0o700 if path.is_dir() else 0o600)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "C")
    again = build_wheel(tmp_path / "wheel", source)
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


@pytest.mark.parametrize("template", ["http", "cron", "api"])
def test_project_is_created_and_scanned_outside_the_repository(
    installation: Installation, tmp_path: Path, template: str
) -> None:
    created = installation.run("new", "shop", "--template", template, cwd=tmp_path)
    assert created["path"] == str(tmp_path / "shop")
    scanned = installation.run("scan", cwd=tmp_path / "shop")
    assert scanned["problems"] == []
    assert scanned["functions"]
