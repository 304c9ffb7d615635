"""``constraints.txt``: the versions that CI ran with, for reproducing a run."""

from __future__ import annotations

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.source_tree import REPOSITORY

_LINES = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
_PINNED = dict(line.split("==") for line in _LINES if not line.startswith("#"))


def test_constraints_are_names_and_versions_and_nothing_else() -> None:
    comments = [line for line in _LINES if line.startswith("#")]
    assert [
        line for line in _LINES if line not in comments and not re.fullmatch(r"[a-z0-9-]+==[\w.+!]+", line)
    ] == []
    assert not any("://" in line or "--" in line for line in comments)


def test_every_requirement_is_pinned_to_a_version_that_it_allows() -> None:
    document = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    project = document["project"]
    lines = [*project["dependencies"], *document["dependency-groups"]["dev"]]
    lines += [line for extra in project["optional-dependencies"].values() for line in extra]
    requirements = [Requirement(line) for line in lines]
    wrong = [
        str(one) for one in requirements if not one.specifier.contains(_PINNED.get(canonicalize_name(one.name), ""))
    ]
    assert wrong == []
