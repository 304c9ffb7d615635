"""Files of included directories: which are selected, and where links of a project may lead."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fnkit.bundler.files.selection import Selection, SelectionRules, select_included, select_project
from fnkit.errors import BundleError
from fnkit.project.included_directories import IncludedDirectory
from tests.support.project_tree import write_files
from tests.support.repositories import write_repository

SHARED = "libs/shared"


def included(folder: Path, path: str = SHARED) -> tuple[IncludedDirectory, ...]:
    """Return the included directory of a repository."""
    directory = folder.resolve() / path
    return (IncludedDirectory(directory.name, directory, f"../../{path}"),)


def select(project: Path, exclude: tuple[str, ...] = ()) -> Selection:
    """Select the files of the directory that the project includes."""
    return select_included(project, SelectionRules(exclude=exclude), included(project.parents[1]))


def test_files_have_the_path_of_the_directorys_name(tmp_path: Path) -> None:
    project = write_repository(tmp_path, {f"{SHARED}/a.py": "", f"{SHARED}/deep/b.txt": "", "libs/other.py": ""})
    assert select(project).files == ("shared/a.py", "shared/deep/b.txt")


def test_built_in_rules_apply_as_in_a_project(tmp_path: Path) -> None:
    names = ("README.md", "pyproject.toml", "uv.lock", "tests/t.py", "node_modules/x.js", ".env", ".env.prod",
             "a/__pycache__/x.pyc", ".venv/x.py", "env/pyvenv.cfg", ".git/config", ".fnkit/x")  # fmt: skip
    project = write_repository(tmp_path, {f"{SHARED}/{name}": "" for name in (*names, "kept.py")})
    assert select(project).files == ("shared/kept.py",)


def test_directory_whose_name_is_ignored_by_default_is_included(tmp_path: Path) -> None:
    project = write_repository(tmp_path, {"libs/build/a.py": "", ".gitignore": "build/\n"})
    found = select_included(project, SelectionRules(), included(tmp_path, "libs/build"))
    assert found.files == ("build/a.py",)


def test_ignore_files_of_the_repository_and_of_the_project_apply(tmp_path: Path) -> None:
    project = write_repository(
        tmp_path,
        {
            ".gitignore": "*.log\n/libs/shared/top.py\n",
            "libs/.gitignore": "/shared/middle.py\n",
            f"{SHARED}/.gitignore": "inner.py\n!kept.log\n",
            "services/.gitignore": "*.py\n",
            "services/shop/.gitignore": "*.txt\n",
            "services/shop/.fnkitignore": "shared/withheld.txt\n/not.txt\n",
            **{f"{SHARED}/{name}": "" for name in ("a.log", "kept.log", "top.py", "middle.py", "inner.py")},
            **{
                f"{SHARED}/{name}": ""
                for name in ("a.py", "a.txt", "not.txt", "withheld.txt", "a.csv", "sub/top.py")
            },
        },
    )
    assert select(project, ("shared/*.csv",)).files == (
        "shared/a.py",
        "shared/a.txt",
        "shared/kept.log",
        "shared/not.txt",
        "shared/sub/top.py",
    )


def test_secret_files_are_withheld_unless_the_project_names_them(tmp_path: Path) -> None:
    project = write_repository(tmp_path, {f"{SHARED}/a.pem": "", f"{SHARED}/.aws/x": "", f"{SHARED}/b.key": ""})
    write_files(project, {".fnkitignore": "!shared/b.key\n"})
    assert select(project) == Selection(files=("shared/b.key",), withheld=("shared/.aws/", "shared/a.pem"))


def test_links_of_the_project_into_an_included_directory_are_followed(tmp_path: Path) -> None:
    project = write_repository(
        tmp_path,
        {
            f"{SHARED}/a.js": "",
            f"{SHARED}/deep/b.js": "",
            f"{SHARED}/x.log": "",
            f"{SHARED}/.gitignore": "",
            "libs/.gitignore": "/shared/deep/no.js\n",
            f"{SHARED}/deep/no.js": "",
            "services/shop/web/handler.js": "",
        },
    )
    (project / "web/shared").symlink_to("../../../libs/shared")
    (project / "web/one.js").symlink_to("../../../libs/shared/a.js")
    (project / "web/deep").symlink_to(tmp_path / "libs/shared/deep")
    with pytest.raises(BundleError) as raised:
        select_project(project)
    assert raised.value.code == "link-outside"
    assert select_project(project, (), included(tmp_path)).files == (
        "web/deep/b.js",
        "web/handler.js",
        "web/one.js",
        "web/shared/a.js",
        "web/shared/deep/b.js",
        "web/shared/x.log",
    )


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("../../libs/shared", 'include = ["../../libs/shared"]'),
        ("../../libs/shared/a.py", 'include = ["../../libs/shared"]'),
        ("../../top.py", "Copy its target"),
        ("../../.hidden/x.py", "Copy its target"),
        ("../../../out.py", "Copy its target"),
    ],
)
def test_link_out_of_the_project_is_refused_with_the_directory_to_include(
    tmp_path: Path, target: str, hint: str
) -> None:
    files = {"repository/top.py": "", "repository/.hidden/x.py": "", "out.py": "", f"repository/{SHARED}/a.py": ""}
    write_files(tmp_path, files)
    project = write_repository(tmp_path / "repository", {})
    (project / "link").symlink_to(target)
    with pytest.raises(BundleError) as raised:
        select_project(project)
    assert raised.value.code == "link-outside"
    assert raised.value.hint is not None
    assert hint in raised.value.hint


@pytest.mark.parametrize(
    ("name", "target", "code"),
    [
        ("out.py", "../../../secret.py", "link-outside"),
        ("out", "../../..", "link-outside"),
        ("repository", "../..", "link-outside"),
        ("beside.py", "../other.py", "link-outside"),
        ("etc", "/etc", "link-outside"),
        ("broken", "missing", "link-broken"),
        ("self", "self", "link-broken"),
        ("settings", ".env", "link-secret"),
        ("settings", "../../services/shop/.env", "link-secret"),
        ("certificate", "private.pem", "link-secret"),
        ("certificate", "../../services/shop/keys/private.pem", "link-secret"),
        ("keys", ".ssh", "link-secret"),
        ("harmless", ".ssh/config", "link-secret"),
        ("remote", ".git/config", "link-secret"),
        ("history", ".git", "link-secret"),
        ("here", ".", "link-loop"),
        ("deep/up", "..", "link-loop"),
        ("around", "../../services/shop/back", "link-loop"),
    ],
)
def test_link_inside_an_included_directory_is_rejected_by_name(
    tmp_path: Path, name: str, target: str, code: str
) -> None:
    write_files(tmp_path, {"secret.py": "SECRET"})
    inner = (".env", "private.pem", ".ssh/config", ".git/config", "deep/a.py")
    project = write_repository(
        tmp_path / "repository",
        {
            "libs/other.py": "",
            **{f"{SHARED}/{path}": "" for path in inner},
            "services/shop/.env": "A=1",
            "services/shop/keys/private.pem": "",
        },
    )
    (project / "back").symlink_to("../../libs/shared")
    (tmp_path / f"repository/{SHARED}/{name}").symlink_to(target)
    with pytest.raises(BundleError) as raised:
        select(project)
    assert raised.value.code == code
    assert f"../../{SHARED}/{name}" in raised.value.message
    assert raised.value.hint is not None


def test_directories_that_link_each_other_are_rejected_as_a_loop(tmp_path: Path) -> None:
    project = write_repository(tmp_path, {"libs/one/a.py": "", "libs/two/b.py": ""})
    (tmp_path / "libs/one/two").symlink_to("../two")
    (tmp_path / "libs/two/one").symlink_to("../one")
    both = (*included(tmp_path, "libs/one"), *included(tmp_path, "libs/two"))
    with pytest.raises(BundleError) as raised:
        select_included(project, SelectionRules(), both)
    assert raised.value.code == "link-loop"


def test_project_and_directory_that_link_each_other_are_rejected_as_a_loop(tmp_path: Path) -> None:
    project = write_repository(tmp_path, {f"{SHARED}/a.py": "", "services/shop/web/b.js": ""})
    (project / "web/shared").symlink_to("../../../libs/shared")
    (tmp_path / SHARED / "web").symlink_to("../../services/shop/web")
    with pytest.raises(BundleError) as raised:
        select(project)
    assert raised.value.code == "link-loop"
    with pytest.raises(BundleError) as raised:
        select_project(project, (), included(tmp_path))
    assert raised.value.code == "link-loop"


def test_special_files_and_broken_names_are_handled_as_in_a_project(tmp_path: Path) -> None:
    project = write_repository(tmp_path, {f"{SHARED}/a.py": ""})
    os.mkfifo(tmp_path / SHARED / "pipe")
    assert select(project).files == ("shared/a.py",)
    (tmp_path / SHARED / "two\nlines.py").touch()
    with pytest.raises(BundleError) as raised:
        select(project)
    assert raised.value.code == "file-name"


_SELECT_AS_UNPRIVILEGED_USER = """
import os, sys
from pathlib import Path
from fnkit.bundler.files.selection import SelectionRules, select_included
from fnkit.errors import BundleError
from fnkit.project.included_directories import IncludedDirectory
if os.getuid() == 0:
    os.setuid(65534)
folder = Path(sys.argv[1])
shared = IncludedDirectory("shared", folder / "shared", "../shared")
try:
    select_included(folder / "shop", SelectionRules(), (shared,))
except BundleError as error:
    print(error.code, error.message)
"""


@pytest.mark.parametrize("unreadable", ["shared", "shared/a.py", "shared/deep", ".gitignore"])
def test_path_without_permission_is_named_as_users_know_it(unreadable: str) -> None:
    with tempfile.TemporaryDirectory() as name:  # other users cannot read pytest's temporary folders
        folder = Path(name).resolve()
        folder.chmod(0o755)
        write_files(
            folder, {".git/HEAD": "", ".gitignore": "", "shop/a.py": "", "shared/a.py": "", "shared/deep/b": ""}
        )
        (folder / unreadable).chmod(0)
        process = subprocess.run(
            [sys.executable, "-c", _SELECT_AS_UNPRIVILEGED_USER, str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        (folder / unreadable).chmod(0o700)
    shown = unreadable if unreadable == ".gitignore" else f"../{unreadable}"
    assert process.stdout == f"unreadable-file {shown} cannot be read: permission denied.\n", process.stderr
