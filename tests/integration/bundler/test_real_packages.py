"""Packages from the real registry: published wheels and a source build."""

import zipfile
from pathlib import Path

import pytest

from fnkit.errors import BundleError
from tests.support.bundle_projects import BundleRun, call_handler, function_spec, project_with
from tests.support.project_tree import write_files

HANDLER = """
import docopt, idna, markupsafe, six
def handle(event, context):
    return [markupsafe.escape("<").__html__(), markupsafe._speedups.__name__, six.PY3, docopt.__version__]
"""


@pytest.mark.long
def test_compiled_and_source_packages_are_bundled_and_run(tmp_path: Path) -> None:
    root, bundling = tmp_path / "project", BundleRun(tmp_path)
    write_files(root, {"h.py": HANDLER})
    project = project_with(
        root,
        function_spec("h", "h.handle"),
        requirements=("six", "idna", "markupsafe", "docopt==0.6.2"),
        source_builds=("docopt",),
    )
    bundle = bundling.bundle(project, allow_builds=lambda _: True)
    with zipfile.ZipFile(bundle.path) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "unpacked")
    assert call_handler(tmp_path / "unpacked", "h.handle") == '["&lt;", "markupsafe._speedups", true, "0.6.2"]'
    musl = bundling.bundle(project, kind="scaleway", allow_builds=lambda _: True)
    with zipfile.ZipFile(musl.path) as archive:
        assert any(name.startswith("package/markupsafe/_speedups.") for name in archive.namelist())
        [speedups] = [name for name in archive.namelist() if name.endswith(".so")]
        assert b"libc.musl" in archive.read(speedups)
    assert bundling.bundle(project, kind="scaleway") == musl
    assert bundling.stages == []


@pytest.mark.long
def test_source_build_with_extension_modules_is_rejected(tmp_path: Path) -> None:
    root = tmp_path / "project"
    write_files(root, {"h.py": "def handle(event, context): ...\n"})
    project = project_with(
        root, function_spec("h", "h.handle"), requirements=("crcmod==1.7",), source_builds=("crcmod",)
    )
    with pytest.raises(BundleError) as raised:
        BundleRun(tmp_path).bundle(project, allow_builds=lambda _: True)
    assert raised.value.code in ("source-build-compiled", "source-build")
