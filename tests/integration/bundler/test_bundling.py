"""Archives made end to end, read back by zipfile and run by an interpreter."""

import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fnkit.bundler import Bundle, bundle_project
from fnkit.bundler.files.content import TEMPORARY_PREFIX
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


def shop(tmp_path: Path, *requirements: str, files: dict[str, str | bytes] | None = None) -> Project:
    root = tmp_path / "project"
    write_files(root, {"handlers/a.py": HANDLER, "handlers/b.py": HANDLER, "shared.py": "NAME = 'shop'\n"})
    write_files(root, files or {})
    return project_with(
        root,
        function_spec("a", "handlers/a.handle"),
        function_spec("b", "handlers/b.handle"),
        requirements=requirements or ("pure",),
    )


def unpacked(bundle: Bundle, folder: Path) -> Path:
    with zipfile.ZipFile(bundle.path) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return folder


def listed(bundle: Bundle) -> set[str]:
    with zipfile.ZipFile(bundle.path) as archive:
        return set(archive.namelist())


def test_an_archive_runs(tmp_path: Path, index: PackageIndex, bundling: BundleRun) -> None:
    make_wheel(index.folder, "pure", "1.5")
    bundle = bundling.bundle(shop(tmp_path))
    assert call_handler(unpacked(bundle, tmp_path / "unpacked"), "handlers/a.handle") == '"shop 1.5"'
    assert [one.function for one in bundle.slices] == ["a", "b"]
    assert [(one.name, one.version) for one in bundle.dependencies] == [("pure", "1.5")]
    assert not any("fnkit/cli" in name or name.endswith("RECORD") for name in listed(bundle))
    assert {
        "package/pure/__init__.py",
        "package/pure-1.5.dist-info/METADATA",
        "package/fnkit/__init__.py",
    } <= listed(bundle)


def test_nothing_changed_means_nothing_done(tmp_path: Path, index: PackageIndex, bundling: BundleRun) -> None:
    make_wheel(index.folder, "pure")
    project = shop(tmp_path)
    first = bundling.bundle(project)
    assert bundling.stages == ["lock", "fetch", "layer", "archive"]
    written = first.path.stat()
    index.requests.clear()
    assert bundling.bundle(project) == first
    assert bundling.stages == []
    assert index.requests == []
    assert first.path.stat().st_ino == written.st_ino


def test_changing_one_handler_changes_its_digest_alone(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun
) -> None:
    make_wheel(index.folder, "pure")
    project = shop(tmp_path)
    before = bundling.bundle(project)
    write_files(project.root, {"handlers/b.py": HANDLER + "# more\n"})
    after = bundling.bundle(project)
    assert before.slice_of("a") == after.slice_of("a")
    assert before.slice_of("b").digest != after.slice_of("b").digest
    assert before.digest != after.digest
    assert bundling.stages == ["archive"]


def test_another_version_of_a_dependency_changes_every_digest(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun
) -> None:
    make_wheel(index.folder, "pure", "1.0")
    make_wheel(index.folder, "pure", "2.0")
    before, after = (bundling.bundle(shop(tmp_path, f"pure=={version}")) for version in ("1.0", "2.0"))
    assert all(before.slice_of(name).digest != after.slice_of(name).digest for name in ("a", "b"))


def test_change_detection_by_project_updates_a_function_on_any_change(tmp_path: Path, bundling: BundleRun) -> None:
    root = tmp_path / "project"
    write_files(root, {"h.py": "def handle(event, context):\n    return 1\n", "other.py": ""})
    whole, sliced = function_spec("w", "h.handle", change_detection="project"), function_spec("s", "h.handle")
    before = bundling.bundle(project_with(root, whole, sliced))
    write_files(root, {"other.py": "x = 1\n"})
    after = bundling.bundle(project_with(root, whole, sliced))
    assert before.slice_of("w").digest != after.slice_of("w").digest
    assert before.slice_of("s").digest == after.slice_of("s").digest
    assert after.slice_of("w").whole_project_reason == 'change_detection = "project"'
    assert after.notes == ()


def test_a_dynamic_import_is_noted_with_its_place(tmp_path: Path, bundling: BundleRun) -> None:
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
def test_an_import_that_would_fail_is_refused_with_its_line(
    tmp_path: Path, bundling: BundleRun, source: str, code: str, word: str
) -> None:
    root = tmp_path / "project"
    write_files(
        root,
        {"h.py": "import part\ndef handle(event, context):\n    return 1\n", "part.py": f"\n{source}\n",
         "hidden.py": "", ".gitignore": "hidden.py\n"},
    )  # fmt: skip
    with pytest.raises(BundleError) as refused:
        bundling.bundle(project_with(root, function_spec("h", "h.handle")), target="cpython-3.13-x86_64-linux-gnu")
    assert (refused.value.code, refused.value.file, refused.value.line) == (code, "part.py", 2)
    assert word in refused.value.message


def test_a_handler_that_does_not_ship_is_refused(tmp_path: Path, bundling: BundleRun) -> None:
    root = tmp_path / "project"
    write_files(root, {"h.py": "", ".gitignore": "h.py\n"})
    with pytest.raises(BundleError) as refused:
        bundling.bundle(project_with(root, function_spec("h", "h.handle")))
    assert refused.value.code == "handler-not-shipped"


def test_an_archive_over_the_limit_names_what_weighs_most(tmp_path: Path, bundling: BundleRun) -> None:
    root = tmp_path / "project"
    write_files(root, {"h.py": "def handle(event, context): ...\n"})
    (root / "heavy").mkdir()
    with (root / "heavy" / "noise.bin").open("wb") as noise:
        for _ in range(101):
            noise.write(os.urandom(1 << 20))
    with pytest.raises(BundleError) as refused:
        bundling.bundle(project_with(root, function_spec("h", "h.handle")))
    assert refused.value.code == "archive-too-large"
    assert "heavy (101.0 MiB)" in refused.value.message
    assert not bundling.out.exists()


def test_wheels_are_spread_as_installers_do(tmp_path: Path, index: PackageIndex, bundling: BundleRun) -> None:
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
    names = {name for name in listed(bundling.bundle(shop(tmp_path))) if "pure" in name}
    assert names == {
        "package/pure/__init__.py",
        "package/pure_more.py",
        "package/pure/plat.py",
        "package/pure-1.0.dist-info/entry_points.txt",
        "package/pure-1.0.dist-info/METADATA",
        "package/pure-1.0.dist-info/WHEEL",
    }


def test_two_dependencies_with_one_file_are_noted(tmp_path: Path, index: PackageIndex, bundling: BundleRun) -> None:
    make_wheel(index.folder, "pure", files={"pure.py": "VERSION = 1\n", "tests/t.py": "1", "same.py": "x"})
    make_wheel(index.folder, "zeta", files={"zeta.py": "", "tests/t.py": "2", "same.py": "x"})
    bundle = bundling.bundle(shop(tmp_path, "pure", "zeta"))
    assert bundle.notes == ("package/tests/t.py is in both pure and zeta; the latter is used.",)
    with zipfile.ZipFile(bundle.path) as archive:
        assert archive.read("package/tests/t.py") == b"2"


@pytest.mark.parametrize("name", ["../outside.py", "/rooted.py", "pure/../../x.py", "pure\\x.py"])
def test_a_wheel_with_a_dangerous_name_is_refused(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun, name: str
) -> None:
    make_wheel(index.folder, "pure", files={"pure.py": "", name: "x"})
    with pytest.raises(BundleError) as refused:
        bundling.bundle(shop(tmp_path))
    assert refused.value.code == "wheel-unusable"


def test_what_the_index_sends_must_have_the_locked_hash(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun
) -> None:
    wheel = make_wheel(index.folder, "pure")
    index.replaced[wheel.name] = wheel.read_bytes() + b"more"
    with pytest.raises(BundleError) as refused:
        bundling.bundle(shop(tmp_path))
    assert refused.value.code == "hash-mismatch"
    assert list((bundling.cache / "wheels").iterdir()) == []


def test_a_cached_wheel_that_went_bad_is_fetched_again(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun
) -> None:
    make_wheel(index.folder, "pure")
    project = shop(tmp_path)
    first = bundling.bundle(project)
    good = first.path.read_bytes()
    [wheel] = (bundling.cache / "wheels").iterdir()
    [layer] = (bundling.cache / "layers").iterdir()
    first.path.unlink()
    layer.unlink()
    wheel.write_bytes(b"\0" * wheel.stat().st_size)
    assert bundling.bundle(project).path.read_bytes() == good
    assert len(index.downloads()) == 2


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_cut_off_files_in_the_cache_and_the_output_are_made_again(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun, kept: int
) -> None:
    make_wheel(index.folder, "pure")
    project = shop(tmp_path)
    first = bundling.bundle(project)
    good = first.path.read_bytes()
    for path in (first.path, *(bundling.cache / "layers").iterdir(), *(bundling.cache / "facts").iterdir()):
        path.write_bytes(path.read_bytes()[:kept])
    assert bundling.bundle(project).path.read_bytes() == good


def test_a_vendored_package_folder_is_left_at_home(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun
) -> None:
    make_wheel(index.folder, "pure", "1.5")
    vendored: dict[str, str | bytes] = {
        "package/pure/__init__.py": "VERSION = 'old'\n",
        "package/pure-1.dist-info/METADATA": "",
    }
    bundle = bundling.bundle(shop(tmp_path, files=vendored))
    assert call_handler(unpacked(bundle, tmp_path / "unpacked"), "handlers/a.handle") == '"shop 1.5"'


def test_own_code_in_the_way_of_a_dependency_is_refused(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun
) -> None:
    make_wheel(index.folder, "pure")
    with pytest.raises(BundleError) as refused:
        bundling.bundle(shop(tmp_path, files={"package/pure/__init__.py": ""}))
    assert refused.value.code == "package-folder-conflict"


def test_another_language_is_refused_clearly_for_now(tmp_path: Path, bundling: BundleRun) -> None:
    function: FunctionSpec = function_spec("n", "handler.handle", runtime="node22")
    with pytest.raises(BundleError) as refused:
        bundle_project(
            project_with(tmp_path, function), {}, out=bundling.out, cache=bundling.cache, kind="scaleway"
        )
    assert refused.value.code == "language-not-bundled"


def test_named_functions_alone_get_slices(tmp_path: Path, index: PackageIndex, bundling: BundleRun) -> None:
    make_wheel(index.folder, "pure")
    project = shop(tmp_path)
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
what, folder, requirement = sys.argv[1:]
project = project_with(Path(folder, "project"), function_spec("a", "handlers/a.handle"),
                    function_spec("b", "handlers/b.handle"), requirements=(requirement,))
bundling = BundleRun(Path(folder))
if what == "limited":
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
if what.startswith("killed"):
    from fnkit.bundler.archive import archive, layer
    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)
    steps = {"killed-archive": (archive, "_write_user_file"), "killed-layer": (layer, "central_directory_header")}
    module, name = steps[what]
    setattr(module, name, die)
try:
    print(bundling.bundle(project).digest)
except BundleError as error:
    print(error.code)
"""


def start(what: str, folder: Path) -> subprocess.Popen[str]:
    root = Path(__file__).resolve().parents[3]
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, what, str(folder), "pure"], cwd=root, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("moment", ["killed-layer", "killed-archive"])
def test_being_killed_while_writing_leaves_nothing_that_misleads(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun, moment: str
) -> None:
    make_wheel(index.folder, "pure")
    project = shop(tmp_path)
    with start(moment, tmp_path) as child:
        assert child.wait() == -signal.SIGKILL
    left = [path for path in tmp_path.rglob(f"{TEMPORARY_PREFIX}*") if path.is_file()]
    assert len(left) == 1
    assert list(tmp_path.rglob("*.zip")) == []
    bundle = bundling.bundle(project)
    assert call_handler(unpacked(bundle, tmp_path / "unpacked"), "handlers/a.handle") == '"shop 1.0"'


def test_two_processes_may_bundle_at_once(tmp_path: Path, index: PackageIndex, bundling: BundleRun) -> None:
    make_wheel(index.folder, "pure")
    project = shop(tmp_path)
    children = [start("plain", tmp_path) for _ in range(3)]
    answers = {child.communicate()[0].strip() for child in children}
    assert answers == {bundling.bundle(project).digest}
    assert bundling.stages == []
    assert list(tmp_path.rglob(f"{TEMPORARY_PREFIX}*")) == []


@pytest.mark.parametrize("emptied", [("layers", "wheels"), ("layers",), ()])
def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, index: PackageIndex, bundling: BundleRun, emptied: tuple[str, ...]
) -> None:
    noise: dict[str, str | bytes] = {"pure/__init__.py": "VERSION = 1\n", "pure/noise.bin": os.urandom(30_000)}
    make_wheel(index.folder, "pure", files=noise)
    bundling.bundle(shop(tmp_path))
    shutil.rmtree(bundling.out)
    for name in emptied:
        shutil.rmtree(bundling.cache / name)
    with start("limited", tmp_path) as child:
        assert child.communicate()[0].strip() == "disk-full"
    assert list(tmp_path.rglob(f"{TEMPORARY_PREFIX}*")) == []
    assert list(tmp_path.rglob("*.zip")) == []


def test_only_the_newest_archives_stay(tmp_path: Path, bundling: BundleRun) -> None:
    root = tmp_path / "project"
    made = []
    for number in range(7):
        write_files(root, {"h.py": f"N = {number}\ndef handle(event, context): ...\n"})
        made.append(bundling.bundle(project_with(root, function_spec("h", "h.handle"))).path)
    assert set(bundling.out.iterdir()) == set(made[-4:])
