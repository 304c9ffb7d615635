"""Archives bundled end to end, read with ``zipfile`` and run by an interpreter."""

import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fnkit.bundler.bundle import bundle_project
from fnkit.bundler.files.content import TEMPORARY_PREFIX
from fnkit.bundler.model import Bundle
from fnkit.errors import BundleError
from fnkit.project.model import FunctionSpec, Project
from tests.support.bundle_projects import BundleRun, call_handler, function_spec, project_with
from tests.support.package_index import PackageIndex, make_wheel
from tests.support.project_tree import write_files

HANDLER = """
from fnkit import function
import pure
from shared import NAME

@function(memory=128)
def handle(event, context):
    return f"{NAME} {pure.VERSION}"
"""


def shop_project(tmp_path: Path, *requirements: str, files: dict[str, str | bytes] | None = None) -> Project:
    root = tmp_path / "project"
    write_files(root, {"handlers/a.py": HANDLER, "handlers/b.py": HANDLER, "shared.py": "NAME = 'shop'\n"})
    write_files(root, files or {})
    return project_with(
        root,
        function_spec("a", "handlers/a.handle"),
        function_spec("b", "handlers/b.handle"),
        requirements=requirements or ("pure",),
    )


def extract(bundle: Bundle, folder: Path) -> Path:
    with zipfile.ZipFile(bundle.path) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return folder


def member_names(bundle: Bundle) -> set[str]:
    with zipfile.ZipFile(bundle.path) as archive:
        return set(archive.namelist())


def test_bundled_handler_runs_from_the_archive(tmp_path: Path, index: PackageIndex, bundling: BundleRun) -> None:
    make_wheel(index.folder, "pure", "1.5")
    bundle = bundling.bundle(shop_project(tmp_path))
    assert call_handler(extract(bundle, tmp_path / "unpacked"), "handlers/a.handle") == '"shop 1.5"'
    assert [one.function for one in bundle.slices] == ["a", "b"]
    assert [(one.name, one.version) for one in bundle.dependencies] == [("pure", "1.5")]
    assert not any("fnkit/cli" in name or name.endswith("RECORD") for name in member_names(bundle))
    assert {
        "package/pure/__init__.py",
        "package/pure-1.5.dist-info/METADATA",
        "package/fnkit/__init__.py",
    } <= member_names(bundle)


def test_wheel_with_fnkit_in_it_gives_no_second_entry(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun
) -> None:
    forged = {"fnkit/__init__.py": "FORGED = 1\n", "fnkit/more.py": "", "pure/__init__.py": "VERSION = '1'\n"}
    make_wheel(index.folder, "pure", files=forged)
    bundle = bundling.bundle(shop_project(tmp_path))
    with zipfile.ZipFile(bundle.path) as archive:
        names = archive.namelist()
        assert len(names) == len(set(names))
        assert b"FORGED" not in archive.read("package/fnkit/__init__.py")
    assert "package/fnkit/more.py" not in names
    [note] = bundle.notes
    assert "of pure is left out" in note


def test_archive_is_private_and_withholds_secrets(tmp_path: Path, index: PackageIndex, bundling: BundleRun) -> None:
    make_wheel(index.folder, "pure")
    project = shop_project(tmp_path)
    write_files(project.root, {"certs/server.key": "secret", "large.bin": "x" * 300_000})
    bundle = bundling.bundle(project)
    assert "certs/server.key" not in member_names(bundle)
    [note] = bundle.notes
    assert "certs/server.key. To include one, name it in .fnkitignore: !certs/server.key" in note
    [deflated] = (bundling.cache / "deflated").iterdir()
    assert {path.stat().st_mode & 0o777 for path in (bundle.path, deflated)} == {0o600}
    bundle.path.chmod(0o644)
    assert bundling.bundle(project).path.stat().st_mode & 0o777 == 0o600


def test_unchanged_project_is_not_bundled_again(tmp_path: Path, index: PackageIndex, bundling: BundleRun) -> None:
    make_wheel(index.folder, "pure")
    project = shop_project(tmp_path)
    first = bundling.bundle(project)
    assert bundling.stages == ["lock", "fetch", "layer", "archive"]
    written = first.path.stat()
    index.requests.clear()
    assert bundling.bundle(project) == first
    assert bundling.stages == []
    assert index.requests == []
    assert first.path.stat().st_ino == written.st_ino


def test_handler_change_keeps_the_digests_of_other_slices(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun
) -> None:
    make_wheel(index.folder, "pure")
    project = shop_project(tmp_path)
    before = bundling.bundle(project)
    write_files(project.root, {"handlers/b.py": HANDLER + "# more\n"})
    after = bundling.bundle(project)
    assert before.slice_of("a") == after.slice_of("a")
    assert before.slice_of("b").digest != after.slice_of("b").digest
    assert before.digest != after.digest
    assert bundling.stages == ["archive"]


def test_dependency_version_change_updates_every_slice_digest(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun
) -> None:
    make_wheel(index.folder, "pure", "1.0")
    make_wheel(index.folder, "pure", "2.0")
    before, after = (bundling.bundle(shop_project(tmp_path, f"pure=={version}")) for version in ("1.0", "2.0"))
    assert all(before.slice_of(name).digest != after.slice_of(name).digest for name in ("a", "b"))


def test_project_change_detection_updates_function_on_any_change(tmp_path: Path, bundling: BundleRun) -> None:
    root = tmp_path / "project"
    write_files(root, {"h.py": "def handle(event, context):\n    return 1\n", "other.py": ""})
    by_project, by_function = (
        function_spec("w", "h.handle", change_detection="project"),
        function_spec("s", "h.handle"),
    )
    before = bundling.bundle(project_with(root, by_project, by_function))
    write_files(root, {"other.py": "x = 1\n"})
    after = bundling.bundle(project_with(root, by_project, by_function))
    assert before.slice_of("w").digest != after.slice_of("w").digest
    assert before.slice_of("s").digest == after.slice_of("s").digest
    assert after.slice_of("w").whole_project_reason == 'change_detection = "project"'
    assert after.notes == ()


def test_dynamic_import_note_names_file_and_line(tmp_path: Path, bundling: BundleRun) -> None:
    root = tmp_path / "project"
    write_files(root, {"h.py": "import importlib\ndef handle(event, context):\n    return 1\n"})
    bundle = bundling.bundle(project_with(root, function_spec("h", "h.handle")))
    assert bundle.notes == (
        "Any change of the project updates h: h.py line 1 imports importlib, which imports by name.",
    )


@pytest.mark.parametrize(
    ("source", "code", "word"),
    [
        ("import absent_thing", "missing-requirement", "absent_thing"),
        ("from absent_thing.part import x", "missing-requirement", "absent_thing"),
        ("import hidden", "missing-requirement", "hidden"),
        ("import cgi", "missing-requirement", "cgi"),
        ("import fnkit.bundler", "fnkit-import", "fnkit.bundler"),
    ],
)
def test_unavailable_import_error_names_file_and_line(
    tmp_path: Path, bundling: BundleRun, source: str, code: str, word: str
) -> None:
    root = tmp_path / "project"
    write_files(
        root,
        {"h.py": "import part\ndef handle(event, context):\n    return 1\n", "part.py": f"\n{source}\n",
         "hidden.py": "", ".gitignore": "hidden.py\n"},
    )  # fmt: skip
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project_with(root, function_spec("h", "h.handle")), target="cpython-3.13-x86_64-linux-gnu")
    assert (raised.value.code, raised.value.file, raised.value.line) == (code, "part.py", 2)
    assert word in raised.value.message


def test_ignored_handler_file_is_rejected(tmp_path: Path, bundling: BundleRun) -> None:
    root = tmp_path / "project"
    write_files(root, {"h.py": "", ".gitignore": "h.py\n"})
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project_with(root, function_spec("h", "h.handle")))
    assert raised.value.code == "handler-not-shipped"


@pytest.mark.long
def test_oversized_archive_error_names_the_largest_folder(tmp_path: Path, bundling: BundleRun) -> None:
    root = tmp_path / "project"
    write_files(root, {"h.py": "def handle(event, context): ...\n"})
    (root / "heavy").mkdir()
    with (root / "heavy" / "noise.bin").open("wb") as noise:
        for _ in range(101):
            noise.write(os.urandom(1 << 20))
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project_with(root, function_spec("h", "h.handle")))
    assert raised.value.code == "archive-too-large"
    assert "heavy (101.0 MiB)" in raised.value.message
    assert not bundling.out.exists()


def test_wheel_files_are_placed_as_installers_do(tmp_path: Path, index: PackageIndex, bundling: BundleRun) -> None:
    make_wheel(
        index.folder,
        "pure",
        files={
            "pure/__init__.py": "VERSION = 1\n",
            "pure-1.0.data/purelib/pure_more.py": "",
            "pure-1.0.data/platlib/pure/plat.py": "",
            "pure-1.0.data/scripts/run": "#!python",
            "pure-1.0.data/headers/x.h": "",
            "pure-1.0.dist-info/entry_points.txt": "[x]\n",
            "pure-1.0.dist-info/INSTALLER": "pip",
            "pure/__pycache__/x.cpython-31.pyc": b"",
        },
    )
    names = {name for name in member_names(bundling.bundle(shop_project(tmp_path))) if "pure" in name}
    assert names == {
        "package/pure/__init__.py",
        "package/pure_more.py",
        "package/pure/plat.py",
        "package/pure-1.0.dist-info/entry_points.txt",
        "package/pure-1.0.dist-info/METADATA",
        "package/pure-1.0.dist-info/WHEEL",
    }


def test_file_conflict_between_dependencies_is_noted(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun
) -> None:
    make_wheel(index.folder, "pure", files={"pure.py": "VERSION = 1\n", "tests/t.py": "1", "same.py": "x"})
    make_wheel(index.folder, "zeta", files={"zeta.py": "", "tests/t.py": "2", "same.py": "x"})
    bundle = bundling.bundle(shop_project(tmp_path, "pure", "zeta"))
    assert bundle.notes == ("package/tests/t.py is in both pure and zeta; the latter is used.",)
    with zipfile.ZipFile(bundle.path) as archive:
        assert archive.read("package/tests/t.py") == b"2"


@pytest.mark.parametrize("name", ["../outside.py", "/rooted.py", "pure/../../x.py", "pure\\x.py"])
def test_wheel_with_unsafe_member_path_is_rejected(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun, name: str
) -> None:
    make_wheel(index.folder, "pure", files={"pure.py": "", name: "x"})
    with pytest.raises(BundleError) as raised:
        bundling.bundle(shop_project(tmp_path))
    assert raised.value.code == "wheel-unusable"


def test_download_with_wrong_hash_is_rejected(tmp_path: Path, index: PackageIndex, bundling: BundleRun) -> None:
    wheel = make_wheel(index.folder, "pure")
    index.replaced[wheel.name] = wheel.read_bytes() + b"more"
    with pytest.raises(BundleError) as raised:
        bundling.bundle(shop_project(tmp_path))
    assert raised.value.code == "hash-mismatch"
    assert list((bundling.cache / "wheels").iterdir()) == []


def test_corrupt_cached_wheel_is_downloaded_again(tmp_path: Path, index: PackageIndex, bundling: BundleRun) -> None:
    make_wheel(index.folder, "pure")
    project = shop_project(tmp_path)
    first = bundling.bundle(project)
    good = first.path.read_bytes()
    [wheel] = (bundling.cache / "wheels").iterdir()
    [layer] = (bundling.cache / "layers").iterdir()
    first.path.unlink()
    layer.unlink()
    wheel.write_bytes(b"\0" * wheel.stat().st_size)
    assert bundling.bundle(project).path.read_bytes() == good
    assert len(index.downloads()) == 2


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_truncated_cache_and_output_files_are_rebuilt(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun, length: int
) -> None:
    make_wheel(index.folder, "pure")
    project = shop_project(tmp_path)
    first = bundling.bundle(project)
    good = first.path.read_bytes()
    for path in (first.path, *(bundling.cache / "layers").iterdir(), *(bundling.cache / "facts").iterdir()):
        path.write_bytes(path.read_bytes()[:length])
    assert bundling.bundle(project).path.read_bytes() == good


def test_vendored_package_folder_is_not_bundled(tmp_path: Path, index: PackageIndex, bundling: BundleRun) -> None:
    make_wheel(index.folder, "pure", "1.5")
    vendored: dict[str, str | bytes] = {
        "package/pure/__init__.py": "VERSION = 'old'\n",
        "package/pure-1.dist-info/METADATA": "",
    }
    bundle = bundling.bundle(shop_project(tmp_path, files=vendored))
    assert call_handler(extract(bundle, tmp_path / "unpacked"), "handlers/a.handle") == '"shop 1.5"'


def test_project_file_conflicting_with_dependency_is_rejected(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun
) -> None:
    make_wheel(index.folder, "pure")
    with pytest.raises(BundleError) as raised:
        bundling.bundle(shop_project(tmp_path, files={"package/pure/__init__.py": ""}))
    assert raised.value.code == "package-folder-conflict"


def test_runtime_without_a_version_is_rejected(tmp_path: Path, bundling: BundleRun) -> None:
    function: FunctionSpec = function_spec("n", "handler.handle", runtime="python3")
    with pytest.raises(BundleError) as raised:
        bundle_project(
            project_with(tmp_path, function), {}, out=bundling.out, cache=bundling.cache, kind="scaleway"
        )
    assert raised.value.code == "language-not-bundled"


def test_only_selected_functions_get_slices(tmp_path: Path, index: PackageIndex, bundling: BundleRun) -> None:
    make_wheel(index.folder, "pure")
    project = shop_project(tmp_path)
    whole = bundling.bundle(project, kind="scaleway")
    [some] = bundle_project(
        project, {}, out=bundling.out, cache=bundling.cache, kind="scaleway", names=frozenset({"b"})
    )
    assert [one.function for one in some.slices] == ["b"]
    assert (some.digest, some.slice_of("b")) == (whole.digest, whole.slice_of("b"))


_CHILD = """
import os, resource, signal, sys
from pathlib import Path
from fnkit.errors import BundleError
from tests.support.bundle_projects import BundleRun, function_spec, project_with
mode, folder, requirement = sys.argv[1:]
project = project_with(Path(folder, "project"), function_spec("a", "handlers/a.handle"),
                    function_spec("b", "handlers/b.handle"), requirements=(requirement,))
bundling = BundleRun(Path(folder))
if mode == "limited":
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
if mode.startswith("killed"):
    from fnkit.bundler.archive import archive, layer
    def kill_self(*_):
        os.kill(os.getpid(), signal.SIGKILL)
    steps = {"killed-archive": (archive, "_write_user_file"), "killed-layer": (layer, "central_directory_header")}
    module, name = steps[mode]
    setattr(module, name, kill_self)
try:
    print(bundling.bundle(project).digest)
except BundleError as error:
    print(error.code)
"""


def start(mode: str, folder: Path) -> subprocess.Popen[str]:
    root = Path(__file__).resolve().parents[3]
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, mode, str(folder), "pure"], cwd=root, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("mode", ["killed-layer", "killed-archive"])
def test_bundling_recovers_after_kill_during_write(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun, mode: str
) -> None:
    make_wheel(index.folder, "pure")
    project = shop_project(tmp_path)
    with start(mode, tmp_path) as child:
        assert child.wait() == -signal.SIGKILL
    temporary_files = [path for path in tmp_path.rglob(f"{TEMPORARY_PREFIX}*") if path.is_file()]
    assert len(temporary_files) == 1
    assert list(tmp_path.rglob("*.zip")) == []
    bundle = bundling.bundle(project)
    assert call_handler(extract(bundle, tmp_path / "unpacked"), "handlers/a.handle") == '"shop 1.0"'


def test_concurrent_processes_bundle_the_same_archive(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun
) -> None:
    make_wheel(index.folder, "pure")
    project = shop_project(tmp_path)
    children = [start("plain", tmp_path) for _ in range(3)]
    digests = {child.communicate()[0].strip() for child in children}
    assert digests == {bundling.bundle(project).digest}
    assert bundling.stages == []
    assert list(tmp_path.rglob(f"{TEMPORARY_PREFIX}*")) == []


@pytest.mark.parametrize("removed_caches", [("layers", "wheels"), ("layers",), ()])
def test_full_disk_is_reported_and_leaves_no_partial_files(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun, removed_caches: tuple[str, ...]
) -> None:
    noise: dict[str, str | bytes] = {"pure/__init__.py": "VERSION = 1\n", "pure/noise.bin": os.urandom(30_000)}
    make_wheel(index.folder, "pure", files=noise)
    bundling.bundle(shop_project(tmp_path))
    shutil.rmtree(bundling.out)
    for name in removed_caches:
        shutil.rmtree(bundling.cache / name)
    with start("limited", tmp_path) as child:
        assert child.communicate()[0].strip() == "disk-full"
    assert list(tmp_path.rglob(f"{TEMPORARY_PREFIX}*")) == []
    assert list(tmp_path.rglob("*.zip")) == []


def test_only_the_four_newest_archives_are_kept(tmp_path: Path, bundling: BundleRun) -> None:
    root = tmp_path / "project"
    archives = []
    for number in range(7):
        write_files(root, {"h.py": f"N = {number}\ndef handle(event, context): ...\n"})
        archives.append(bundling.bundle(project_with(root, function_spec("h", "h.handle"))).path)
    assert set(bundling.out.iterdir()) == set(archives[-4:])
