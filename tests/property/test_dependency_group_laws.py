"""Laws of dependency groups: which packages a function has, and that a lock file keeps it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from itertools import chain, combinations
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from fnkit.bundler.dependencies.locked_groups import assign_groups_to_packages
from fnkit.bundler.dependencies.lockfile import Lock, LockedPackage, lock_path, read_lock, write_lock
from fnkit.bundler.dependencies.resolver import ResolutionRequest
from fnkit.bundler.target import BundleTarget
from fnkit.project.dependency_groups import InvalidGroup, read_group_table
from tests.support.bundle_projects import project_with

NAMES = st.sampled_from(["a", "b", "c", "d", "e", "f"])
EXTRAS = st.sampled_from(["", "[x]", "[y]", "[x,y]"])
REQUIREMENTS = st.lists(st.builds(lambda name, extra: name + extra, NAMES, EXTRAS), max_size=3).map(tuple)
GRAPHS = st.fixed_dictionaries(
    {
        name + extra: st.lists(st.builds(lambda name, extra: name + extra, NAMES, EXTRAS), max_size=2)
        for name in "abcdef"
        for extra in ("", "[x]", "[y]")
    }
)
"""The requirements of each package, and of each of its extras."""
GROUPS = st.dictionaries(st.sampled_from(["aws", "data", "ml"]), REQUIREMENTS, max_size=3)


def reachable(requirements: Iterable[str], graph: Mapping[str, list[str]]) -> frozenset[str]:
    """Return the packages that requirements need: what a resolver finds when every version is fixed."""
    found: set[str] = set()
    waiting = list(requirements)
    while waiting:
        requirement = Requirement(waiting.pop())
        for node in (requirement.name, *(f"{requirement.name}[{extra}]" for extra in requirement.extras)):
            if node not in found:
                found.add(node)
                waiting += graph[node]
    return frozenset(node.partition("[")[0] for node in found)


def package(name: str, groups: tuple[str, ...] = ()) -> LockedPackage:
    filename = f"{name}-1.0-py3-none-any.whl"
    return LockedPackage(
        name=name,
        version="1.0",
        kind="wheel",
        filename=filename,
        url=f"https://index.test/{filename}",
        sha256="0" * 64,
        groups=groups,
    )


@given(GRAPHS, REQUIREMENTS, GROUPS)
def test_function_has_what_the_project_and_its_groups_need_together(
    graph: Mapping[str, list[str]], base: tuple[str, ...], groups: Mapping[str, tuple[str, ...]]
) -> None:
    project = project_with(Path("/project"), requirements=base, dependency_groups=groups)
    everything = reachable((*base, *chain.from_iterable(groups.values())), graph)
    request = ResolutionRequest(
        root=project.root,
        target=BundleTarget.scaleway("python313"),
        requirements=(),
        requirements_file=None,
        preferred=(),
        source_builds=(),
        upgrade=False,
    )
    packages = assign_groups_to_packages(
        tuple(package(name) for name in sorted(everything)),
        project,
        project.dependency_groups,
        request,
        lambda asked: reachable(asked.requirements, graph),
    )
    lock = Lock(
        path=Path("x.lock"),
        runtime="python313",
        target="local",
        key="",
        packages=packages,
        groups=tuple(sorted(groups)),
    )
    for count in range(len(groups) + 1):
        for chosen in combinations(groups, count):
            needed = reachable((*base, *chain.from_iterable(groups[name] for name in chosen)), graph)
            assert {one.name for one in lock.select(chosen).packages} == needed


@given(
    st.dictionaries(NAMES, st.sets(st.sampled_from(["aws", "data-tools", "x1"]))),
    st.sets(st.sampled_from(["aws", "data-tools", "x1", "unused"])),
)
def test_lock_file_keeps_the_groups_of_each_package(groups: Mapping[str, set[str]], more: set[str]) -> None:
    used = set(chain.from_iterable(groups.values()))
    with tempfile.TemporaryDirectory() as folder:
        lock = Lock(
            path=lock_path(Path(folder), "python313", "local"),
            runtime="python313",
            target="local",
            key="0" * 64,
            packages=tuple(package(name, tuple(sorted(groups[name]))) for name in sorted(groups)),
            groups=tuple(sorted(used | more)),
        )
        write_lock(lock)
        assert read_lock(lock.path) == lock


@given(
    st.dictionaries(
        st.sampled_from(["a", "B", "c.c", "d"]),
        st.lists(
            st.sampled_from(['"x"', '"y>=1"', *(f'{{include-group = "{name}"}}' for name in ("A", "b", "C-C"))])
        ),
        min_size=1,
    )
)
def test_group_has_exactly_what_its_inclusions_lead_to(groups: Mapping[str, list[str]]) -> None:
    text = "[dependency-groups]\n" + "".join(f'"{name}" = [{", ".join(lines)}]\n' for name, lines in groups.items())
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pyproject.toml").write_text(text)
        table = read_group_table(Path(folder))
        for name in table.names:
            expected = naive_requirements(groups, name, ())
            try:
                found: set[str] | None = {entry.text for entry in table.entries(name)}
            except InvalidGroup:
                found = None
            assert found == expected


def naive_requirements(groups: Mapping[str, list[str]], name: str, including: tuple[str, ...]) -> set[str] | None:
    """Return the requirements of a group as PEP 735 defines them, ``None`` if it is invalid."""
    found: set[str] = set()
    spelled = [one for one in groups if one.lower().replace(".", "-") == name]
    if not spelled or name in including:
        return None
    for line in groups[spelled[0]]:
        if line.startswith('"'):
            found.add(line.strip('"'))
        else:
            inner = naive_requirements(groups, line.split('"')[1].lower(), (*including, name))
            if inner is None:
                return None
            found |= inner
    return found
