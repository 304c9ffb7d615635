"""fnkit works outside the repository: installed from the wheel in a clean environment, and as editable."""

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


@pytest.mark.parametrize("template", ["http", "cron", "api"])
def test_project_is_created_and_scanned_outside_the_repository(
    installation: Installation, tmp_path: Path, template: str
) -> None:
    created = installation.run("new", "shop", "--template", template, cwd=tmp_path)
    assert created["path"] == str(tmp_path / "shop")
    scanned = installation.run("scan", cwd=tmp_path / "shop")
    assert scanned["problems"] == []
    assert scanned["functions"]
