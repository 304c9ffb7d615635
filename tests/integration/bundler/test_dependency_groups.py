"""Locks and archives of functions with dependency groups, by the real resolvers and an index on loopback."""

from __future__ import annotations

import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from packaging.pylock import Pylock

from fnkit.bundler.bundle import lock_project
from fnkit.bundler.dependencies.lockfile import Lock, read_lock
from fnkit.bundler.dependencies.locking import ResolverBackend, lock_target
from fnkit.bundler.dependencies.resolver import ResolutionRequest
from fnkit.bundler.dependencies.uv import resolve_with_uv
from fnkit.bundler.import_check import check_imports
from fnkit.bundler.languages.folder import ARCHIVES_KEPT
from fnkit.bundler.model import Bundle
from fnkit.bundler.target import BundleTarget
from fnkit.errors import BundleError
from fnkit.project.model import BuildCommand, Project, SourceLocation
from tests.support.bundle_projects import LOCAL, BundleRun, call_handler, function_spec, project_with
from tests.support.package_index import PackageIndex, make_wheel
from tests.support.project_tree import write_files

LOCAL_TARGETS = {"python313": BundleTarget.parse("python313", LOCAL)}
GROUPS = {"aws": ("boto",), "data": ("frames", "core"), "empty": (), "own": ("pure",)}


def handler_of(*modules: str) -> str:
    return "".join(f"import {name}\n" for name in modules) + "def handle(event, context):\n    return 1\n"


def shop_project(
    tmp_path: Path,
    groups: Mapping[str, tuple[str, ...]] = GROUPS,
    *,
    requirements: tuple[str, ...] = ("pure",),
    hello: str = handler_of("pure"),
    thumbs: str = handler_of("pure", "boto"),
) -> Project:
    """Return a project of which three functions have groups, and one none."""
    root = tmp_path / "project"
    write_files(root, {"hello.py": hello, "thumbs.py": thumbs, "report.py": handler_of("frames")})
    tables = "".join(f"{name} = {list(lines)}\n" for name, lines in groups.items())
    write_files(root, {"pyproject.toml": f'[dependency-groups]\n{tables}dev = ["tool"]\n'})
    return project_with(
        root,
        function_spec("hello", "hello.handle"),
        function_spec("thumbs", "thumbs.handle", groups=("aws",)),
        function_spec("report", "report.handle", groups=("data",)),
        function_spec("both", "report.handle", groups=("aws", "data", "empty", "own")),
        requirements=requirements,
        dependency_groups=groups,
    )


@pytest.fixture
def wheels(index: PackageIndex) -> PackageIndex:
    make_wheel(index.folder, "pure", requires=("shared>=1",))
    make_wheel(index.folder, "shared", "1.0")
    make_wheel(index.folder, "shared", "2.0", requires=("core",))  # a version that the groups exclude
    make_wheel(index.folder, "core", "1.0", requires=("shared",))
    make_wheel(index.folder, "core", "2.0", requires=("shared",))
    make_wheel(index.folder, "boto", requires=("core", "shared<2"))
    make_wheel(index.folder, "frames", requires=("core<2", 'late; extra == "later"'))
    return index


def lock(project: Project, *, backend: ResolverBackend = "uv", upgrade: bool = False) -> Lock:
    [found] = lock_project(project, LOCAL_TARGETS, kind="local", backend=backend, upgrade=upgrade)
    return found


def membership(found: Lock) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {one.name: (one.version, one.groups) for one in found.packages}


EXPECTED = {
    "boto": ("1.0", ("aws",)),
    "core": ("1.0", ("aws", "data")),
    "frames": ("1.0", ("data",)),
    "pure": ("1.0", ()),
    "shared": ("1.0", ()),
}
"""core and shared have the versions that the groups demand, in all functions."""


@pytest.mark.usefixtures("wheels")
def test_packages_are_locked_together_and_belong_to_the_groups_that_need_them(tmp_path: Path) -> None:
    found = lock(shop_project(tmp_path))
    assert membership(found) == EXPECTED
    assert found.groups == ("aws", "data", "empty", "own")
    assert read_lock(found.path) == found
    standard = Pylock.from_dict(tomllib.loads(found.path.read_text()))  # PEP 751
    assert standard.dependency_groups == ["aws", "data", "empty", "own"]
    assert {str(one.name): str(one.marker) for one in standard.packages if one.marker} == {
        "boto": '"aws" in dependency_groups',
        "core": '"aws" in dependency_groups or "data" in dependency_groups',
        "frames": '"data" in dependency_groups',
    }
    assert 'name = "tool"' not in found.path.read_text()


@pytest.mark.long
@pytest.mark.usefixtures("wheels")
def test_every_combination_of_groups_is_what_the_resolver_finds_for_it(tmp_path: Path) -> None:
    project = shop_project(tmp_path)
    found = lock(project)
    versions = {one.name: f"{one.name}=={one.version}" for one in found.packages}
    requirements = {name: lines for name, lines in GROUPS.items() if lines}
    for count in range(len(requirements) + 1):
        for chosen in combinations(requirements, count):
            request = ResolutionRequest(
                root=project.root,
                target=LOCAL_TARGETS["python313"],
                requirements=(*project.requirements, *(line for name in chosen for line in requirements[name])),
                requirements_file=None,
                preferred=(),
                source_builds=(),
                upgrade=False,
                constraints=found.packages,
            )
            resolved = {one.name: f"{one.name}=={one.version}" for one in resolve_with_uv(request)}
            selected = {one.name for one in found.select(chosen).packages}
            assert resolved == {name: versions[name] for name in selected}, chosen


@pytest.mark.long
@pytest.mark.usefixtures("wheels")
def test_piptools_finds_the_same_groups(tmp_path: Path) -> None:
    assert membership(lock(shop_project(tmp_path), backend="pip-tools")) == EXPECTED


@pytest.mark.long
def test_locked_groups_need_no_index_until_they_change(tmp_path: Path, wheels: PackageIndex) -> None:
    project = shop_project(tmp_path)
    first = lock(project)
    before = first.path.stat().st_mtime_ns
    make_wheel(wheels.folder, "boto", "2.0")
    wheels.requests.clear()
    assert lock(project) == first
    assert (wheels.requests, first.path.stat().st_mtime_ns) == ([], before)
    changed = shop_project(tmp_path, {**GROUPS, "aws": ("boto>=1",)})
    assert membership(lock(changed)) == EXPECTED  # resolved again, with the same versions
    assert wheels.requests != []
    assert membership(lock(changed, upgrade=True))["boto"] == ("2.0", ("aws",))


def test_lock_without_groups_is_what_it_was_before(tmp_path: Path, index: PackageIndex) -> None:
    wheel = make_wheel(index.folder, "pure")
    root = write_files(tmp_path / "project", {"hello.py": handler_of("pure")})
    project = project_with(root, function_spec("hello", "hello.handle"), requirements=("pure",))
    [found] = lock_project(project, {}, kind="scaleway")
    [package] = found.packages
    # The text and the key that fnkit wrote before it had groups.
    assert (
        found.path.read_text()
        == f"""# Written by fnkit. Commit it; `fnkit lock` writes it again.
lock-version = "1.0"
created-by = "fnkit"

[[packages]]
name = "pure"
version = "1.0"
wheels = [{{ name = "{wheel.name}", url = "{package.url}", hashes = {{ sha256 = "{package.sha256}" }} }}]

[tool.fnkit]
version = 1
runtime = "python313"
target = "scaleway"
key = "211e4a98fe338e11a7de866bf9bc7d7a163c9d1a60b544734defb6e3b47ea285"
notes = []
"""
    )


@pytest.mark.usefixtures("wheels")
def test_only_the_groups_of_a_runtimes_functions_are_locked(tmp_path: Path) -> None:
    project = shop_project(tmp_path, {**GROUPS, "far": ("nowhere",)})
    other = function_spec("far", "hello.handle", runtime="python311", groups=("far",))
    both = replace(project, functions=(*project.functions, other))
    assert membership(lock_target(both, LOCAL_TARGETS["python313"], "local")) == EXPECTED
    targets = {**LOCAL_TARGETS, "python311": BundleTarget.parse("python311", LOCAL)}
    with pytest.raises(BundleError) as raised:
        lock_project(both, targets, kind="local")
    assert raised.value.code == "unknown-package"


@pytest.mark.usefixtures("wheels")
def test_project_whose_only_requirements_are_in_groups_has_a_lock(tmp_path: Path) -> None:
    project = shop_project(tmp_path, requirements=())
    assert membership(lock(project)) == {
        **EXPECTED,
        "pure": ("1.0", ("own",)),
        "shared": ("1.0", ("aws", "data", "own")),
    }


@pytest.mark.usefixtures("wheels")
def test_unlockable_requirement_of_a_group_is_reported_at_its_line(tmp_path: Path) -> None:
    project = shop_project(tmp_path, {"aws": ("boto",), "data": ("frames", "core>=2")})
    project = replace(
        project,
        requirement_sources=(SourceLocation("requirements.txt", 1),),
        dependency_groups=tuple(
            replace(one, requirement_sources=tuple(SourceLocation("pyproject.toml", 10 + n) for n in range(2)))
            for one in project.dependency_groups
        ),
    )
    with pytest.raises(BundleError) as raised:
        lock(project)
    assert raised.value.code == "requirements-conflict"
    assert raised.value.file == "pyproject.toml"
    assert "core>=2 (pyproject.toml:11)" in str(raised.value.hint)


MARKER = "marker = \"'aws' in dependency_groups\"\n"


CONTRADICTIONS = [
    ('dependency-groups = ["aws", ', "dependency-groups = [", "'aws', which is no group of the file"),
    ("dependency-groups = [", 'dependency-groups = ["more", ', "are not those of the functions"),
    (MARKER, MARKER.replace("aws", "data"), "the group aws requires boto"),
    (MARKER, MARKER.replace("aws", "else"), "'else', which is no group of the file"),
    (MARKER, "marker = \"sys_platform == 'linux'\"\n", "does not name dependency groups"),
    (MARKER, MARKER.replace("in", "not in"), "does not name dependency groups"),
    (MARKER, MARKER.replace('"\n', ' and True"\n'), "does not name dependency groups"),
    (MARKER, "marker = 1\n", "Expected"),
    ('name = "pure"\n', f'name = "pure"\n{MARKER}', "the project requires pure"),
]


def test_lock_that_contradicts_is_rejected_before_anything_is_fetched(tmp_path: Path, wheels: PackageIndex) -> None:
    project = shop_project(tmp_path, {"aws": ("boto",), "data": ("frames",)})
    project = replace(project, functions=project.functions[:3])
    found = lock(project)
    text = found.path.read_text()
    wheels.requests.clear()
    for old, new, reason in CONTRADICTIONS:
        assert old in text
        found.path.write_text(text.replace(old, new, 1))
        with pytest.raises(BundleError, match=reason) as raised:
            lock(project)
        assert (raised.value.code, raised.value.file) == ("lock-file", found.path.name)
    assert wheels.requests == []
    found.path.write_text(text.replace(MARKER, "", 1))  # a package that all functions have contradicts nothing
    assert "boto" in {one.name for one in lock(project).select(()).packages}


def packages(bundle: Bundle) -> set[str]:
    """Return the packages that are in an archive."""
    with zipfile.ZipFile(bundle.path) as archive:
        names = archive.namelist()
    return {name.split("/")[1] for name in names if name.startswith("package/") and ".dist-info/" not in name} - {
        "fnkit"
    }


def by_function(bundles: tuple[Bundle, ...]) -> dict[str, Bundle]:
    return {piece.function: bundle for bundle in bundles for piece in bundle.slices}


@pytest.mark.usefixtures("wheels")
def test_each_archive_has_the_packages_of_its_functions_alone(tmp_path: Path, bundling: BundleRun) -> None:
    found = by_function(bundling.bundle_all(shop_project(tmp_path)))
    assert {name: packages(bundle) for name, bundle in found.items()} == {
        "hello": {"pure", "shared"},
        "thumbs": {"pure", "shared", "boto", "core"},
        "report": {"pure", "shared", "frames", "core"},
        "both": {"pure", "shared", "boto", "core", "frames"},
    }
    for name, bundle in found.items():
        assert {one.name for one in bundle.dependencies} == packages(bundle), name
        assert len(bundle.slice_of(name).dependencies) == len(bundle.dependencies)
    assert found["thumbs"].groups == ("aws",)
    assert found["hello"].groups == ()
    with zipfile.ZipFile(found["thumbs"].path) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert call_handler(tmp_path / "unpacked", "thumbs.handle") == "1"


def test_notes_are_about_the_packages_of_an_archive(
    tmp_path: Path, wheels: PackageIndex, bundling: BundleRun
) -> None:
    make_wheel(wheels.folder, "boto", "3.0", tag="cp313-cp313-manylinux_2_17_x86_64")
    make_wheel(wheels.folder, "boto", "2.0", tag="cp313-cp313-musllinux_1_2_x86_64")
    found = by_function(bundling.bundle_all(shop_project(tmp_path, hello=handler_of("pure")), kind="scaleway"))
    note = "boto 2.0 is locked: 3.0 has no musl wheel."
    assert {name for name, bundle in found.items() if note in bundle.notes} == {"thumbs", "both"}


@pytest.mark.usefixtures("wheels")
def test_function_without_groups_is_not_updated_by_those_of_others(tmp_path: Path, bundling: BundleRun) -> None:
    project = shop_project(tmp_path)
    alone = replace(project, functions=project.functions[:1], dependency_groups=())
    lock(replace(alone, requirements=("pure", "shared<2")))  # the version that the groups will need
    first = bundling.bundle(alone)
    grouped = by_function(bundling.bundle_all(project))
    assert grouped["hello"] == first
    assert grouped["hello"].slice_of("hello") == first.slice_of("hello")


def test_version_of_a_group_updates_only_functions_with_it(
    tmp_path: Path, wheels: PackageIndex, bundling: BundleRun
) -> None:
    make_wheel(wheels.folder, "boto", "1.5", requires=("core", "shared<2"))
    before = by_function(bundling.bundle_all(shop_project(tmp_path, {**GROUPS, "aws": ("boto==1.0",)})))
    after = by_function(bundling.bundle_all(shop_project(tmp_path, {**GROUPS, "aws": ("boto==1.5",)})))
    changed = {name for name in after if before[name].slice_of(name).digest != after[name].slice_of(name).digest}
    assert changed == {"thumbs", "both"}
    assert before["hello"].path == after["hello"].path
    assert before["thumbs"].path != after["thumbs"].path


@pytest.mark.usefixtures("wheels")
def test_archives_of_one_set_of_groups_do_not_prune_those_of_others(tmp_path: Path, bundling: BundleRun) -> None:
    kept = {bundle.path for bundle in bundling.bundle_all(shop_project(tmp_path))}
    project = replace(shop_project(tmp_path), functions=shop_project(tmp_path).functions[:1])
    for number in range(ARCHIVES_KEPT + 3):
        write_files(project.root, {"hello.py": handler_of("pure") + f"# {number}\n"})
        bundling.bundle_all(replace(project, dependency_groups=()))
    left = set(bundling.out.glob("*.zip"))
    assert len(kept - left) == 1  # the first archive of hello, of which there are newer ones
    assert len(left) == len(kept) - 1 + ARCHIVES_KEPT


@pytest.mark.usefixtures("wheels")
def test_archives_are_the_same_bytes_whatever_else_is_bundled(tmp_path: Path) -> None:
    first, second = BundleRun(tmp_path / "a"), BundleRun(tmp_path / "b")
    project = shop_project(tmp_path)
    lock(project)
    whole = by_function(first.bundle_all(project))
    reordered = replace(project, functions=tuple(reversed(project.functions)))
    for name, bundle in by_function(second.bundle_all(reordered)).items():
        assert bundle.path.name == whole[name].path.name
        assert bundle.path.read_bytes() == whole[name].path.read_bytes()


@pytest.mark.usefixtures("wheels")
def test_functions_with_a_build_have_the_packages_of_their_groups_too(tmp_path: Path, bundling: BundleRun) -> None:
    project = shop_project(tmp_path)
    build = BuildCommand(command="mkdir out && echo 1 > out/made.txt", inputs=(), output="out")
    project = replace(project, functions=tuple(replace(one, build=build) for one in project.functions[:2]))
    found = by_function(bundling.bundle_all(project, allow_builds=lambda _: True))
    assert {name: packages(bundle) for name, bundle in found.items()} == {
        "hello": {"pure", "shared"},
        "thumbs": {"pure", "shared", "boto", "core"},
    }
    prefixes = {bundle.path.name.rpartition("-")[0] for bundle in found.values()}
    assert len(prefixes) == 2, "the archives of one would prune those of the other"


@pytest.mark.usefixtures("wheels")
def test_missing_group_of_an_import_is_named(tmp_path: Path, bundling: BundleRun) -> None:
    bundling.bundle_all(shop_project(tmp_path))
    project = shop_project(tmp_path, hello="import pure\nimport core\n" + handler_of())
    with pytest.raises(BundleError) as raised:
        bundling.bundle_all(project)
    error = raised.value
    assert (error.code, error.file, error.line) == ("missing-requirement", "hello.py", 2)
    assert error.message == "hello imports core, which only the dependency groups aws, data provide."
    assert error.hint is not None
    assert error.hint.startswith('Set groups=["aws"] on hello')
    [problem] = check_imports(project, bundling.cache).problems
    assert (problem.code, problem.message, problem.hint) == ("missing-requirement", error.message, error.hint)


@pytest.mark.usefixtures("wheels")
def test_missing_group_that_no_function_uses_is_named(tmp_path: Path, bundling: BundleRun) -> None:
    project = shop_project(tmp_path, thumbs=handler_of("tool"))
    with pytest.raises(BundleError) as raised:
        bundling.bundle_all(project)
    assert raised.value.message == "thumbs imports tool, which only the dependency group dev provides."
    assert str(raised.value.hint).startswith('Set groups=["aws", "dev"] on thumbs')


def test_module_with_another_name_than_its_package_is_found(
    tmp_path: Path, wheels: PackageIndex, bundling: BundleRun
) -> None:
    make_wheel(wheels.folder, "PyBoto", files={"botolib/__init__.py": ""})
    groups = {"aws": ("pyboto",)}
    project = replace(shop_project(tmp_path, groups), functions=shop_project(tmp_path, groups).functions[:2])
    write_files(project.root, {"thumbs.py": handler_of("botolib")})
    bundling.bundle_all(project)
    write_files(project.root, {"hello.py": handler_of("botolib")})
    with pytest.raises(BundleError, match="which only the dependency group aws provides"):
        bundling.bundle_all(project)


@pytest.mark.usefixtures("wheels")
def test_imports_of_each_function_are_checked_with_its_own_groups(tmp_path: Path, bundling: BundleRun) -> None:
    project = shop_project(tmp_path)
    unchecked = check_imports(project, bundling.cache)
    assert unchecked.problems == ()
    assert "were not checked" in unchecked.notes[0]
    bundling.bundle_all(project)
    assert check_imports(project, bundling.cache) == check_imports(project, bundling.cache)
    assert check_imports(project, bundling.cache).problems == ()
    assert check_imports(project, bundling.cache).notes == ()
