"""The finder of included directories, in processes of their own: it changes how modules are found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.project_tree import write_files
from tests.support.source_tree import REPOSITORY

_PROGRAM = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from fnkit.worker.python import included_directories
sys.path[0] = sys.argv[2]
included_directories.install_from_environment(os.environ)
result = {}
for name in sys.argv[3:]:
    try:
        module = __import__(name, fromlist=["x"])
    except ImportError as error:
        result[name] = f"ImportError: {error}"
    else:
        result[name] = getattr(module, "__file__", None) or list(module.__path__)
print(json.dumps(result))
"""


def imported(root: Path, variable: str, *names: str) -> Mapping[str, object]:
    """Return the file of each module that a new process imports, or its error."""
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", _PROGRAM, str(REPOSITORY), str(root), *names],
        env={**os.environ, "FNKIT_INCLUDED": variable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: Mapping[str, object] = json.loads(done.stdout)
    return found


@pytest.fixture
def libs(tmp_path: Path) -> Path:
    return write_files(
        tmp_path / "libs",
        {
            "shared/words.py": "",
            "shared/deep/more.py": "from shared import words\n",
            "src/money/__init__.py": "from . import coin\n",
            "src/money/coin.py": "",
            "secret.py": "",
            "wave/__init__.py": "",
            "site/merged/a.py": "",
        },
    )


def test_modules_have_their_real_files(tmp_path: Path, libs: Path) -> None:
    directories = json.dumps({"shared": str(libs / "shared"), "money": str(libs / "src/money")})
    assert imported(tmp_path, directories, "shared", "shared.words", "shared.deep.more", "money", "money.coin") == {
        "shared": [str(libs / "shared")],
        "shared.words": str(libs / "shared/words.py"),
        "shared.deep.more": str(libs / "shared/deep/more.py"),
        "money": str(libs / "src/money/__init__.py"),
        "money.coin": str(libs / "src/money/coin.py"),
    }


def test_nothing_else_of_the_directory_around_it_is_importable(tmp_path: Path, libs: Path) -> None:
    found = imported(tmp_path, json.dumps({"shared": str(libs / "shared")}), "secret", "src", "words", "more")
    assert all(str(one).startswith("ImportError") for one in found.values())


def test_submodule_of_the_same_name_is_not_found_there(tmp_path: Path, libs: Path) -> None:
    root = write_files(tmp_path / "root", {"other/__init__.py": ""})
    found = imported(root, json.dumps({"shared": str(libs / "shared")}), "other", "other.shared")
    assert str(found["other.shared"]).startswith("ImportError")


def test_directory_may_have_another_name_than_its_package(tmp_path: Path, libs: Path) -> None:
    found = imported(tmp_path, json.dumps({"common": str(libs / "shared")}), "common.words", "shared")
    assert found["common.words"] == str(libs / "shared/words.py")
    assert str(found["shared"]).startswith("ImportError")


def test_package_is_found_before_the_standard_library_as_in_an_archive(tmp_path: Path, libs: Path) -> None:
    assert imported(tmp_path, json.dumps({"wave": str(libs / "wave")}), "wave") == {
        "wave": str(libs / "wave/__init__.py")
    }


def test_package_on_the_path_is_found_before_a_directory_without_init_as_in_an_archive(
    tmp_path: Path, libs: Path
) -> None:
    root = write_files(tmp_path / "root", {"shared/__init__.py": ""})
    found = imported(root, json.dumps({"shared": str(libs / "shared")}), "shared")
    assert found == {"shared": str(root / "shared/__init__.py")}


@pytest.mark.parametrize("variable", ["", "{", "[]", "1", "{}"])
def test_broken_variable_changes_nothing(tmp_path: Path, variable: str) -> None:
    found = imported(tmp_path, variable, "json", "missing")
    assert str(found["missing"]).startswith("ImportError")
