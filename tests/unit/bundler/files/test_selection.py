"""Which files ship."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fnkit.bundler import select_files
from fnkit.errors import BundleError
from tests.support.project_tree import write_files


def test_nested_ignore_files_hold_below_themselves(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            ".gitignore": "*.log\n/secret/\n",
            "a/.gitignore": "!keep.log\n*.tmp\n",
            "a/keep.log": "",
            "a/drop.log": "",
            "a/b.tmp": "",
            "b.tmp": "",
            "secret/x.py": "",
            "a/secret/x.py": "",
        },
    )
    assert select_files(tmp_path) == ("a/keep.log", "a/secret/x.py", "b.tmp")


def test_fnkitignore_is_stronger_than_every_gitignore_and_the_setting(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            ".gitignore": "generated.py\n",
            "a/.gitignore": "!dropped.txt\n",
            ".fnkitignore": "!generated.py\ndropped.txt\n!README.md\n!kept.csv\n",
            "generated.py": "",
            "a/dropped.txt": "",
            "README.md": "",
            "kept.csv": "",
            "other.csv": "",
        },
    )
    assert select_files(tmp_path, ("*.csv",)) == ("README.md", "generated.py", "kept.csv")


def test_what_no_handler_reads_stays_at_home(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        dict.fromkeys(
            (
                "handler.py", "pyproject.toml", "fnkit.toml", "fnkit.python313.scaleway.lock", "requirements.txt",
                "README.md", "tests/test_handler.py", ".git/config", ".venv/x.py", "other-env/pyvenv.cfg",
                "other-env/y.py",
                "node_modules/z.js", "__pycache__/handler.pyc", "a/__pycache__/b.pyc", ".fnkit/x.zip",
                ".env", ".env.prod", "a/.env.local",
                ".envrc", "dist/x.whl", ".github/workflows/ci.yml", "a/pyproject.toml",
            ),
            "",
        ),
    )  # fmt: skip
    assert select_files(tmp_path) == ("a/pyproject.toml", "handler.py")


def test_secrets_never_ship_whatever_the_ignore_files_say(tmp_path: Path) -> None:
    write_files(
        tmp_path, {".fnkitignore": "!.env\n!.env.prod\n!.venv/\n", ".env": "A=1", ".venv/x.py": "", "a.py": ""}
    )
    assert select_files(tmp_path) == ("a.py",)


def test_a_repositorys_own_rules_hold_for_a_project_in_one_of_its_folders(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {".git/HEAD": "", ".gitignore": "*.log\n/services/shop/local/\n", "services/.gitignore": "*.bak\n"},
    )
    project = tmp_path / "services" / "shop"
    write_files(project, {"a.py": "", "a.log": "", "a.bak": "", "local/x.py": "", "b/local/x.py": ""})
    assert select_files(project) == ("a.py", "b/local/x.py")


def test_a_repository_that_ignores_the_project_says_nothing_about_it(tmp_path: Path) -> None:
    write_files(tmp_path, {".git/HEAD": "", ".gitignore": "/scratch/\n*.py\n"})
    write_files(tmp_path / "scratch" / "shop", {"a.py": ""})
    assert select_files(tmp_path / "scratch" / "shop") == ("a.py",)


def test_links_inside_the_project_ship_as_what_they_point_to(tmp_path: Path) -> None:
    write_files(tmp_path, {"real/x.py": "", "real/deep/y.py": ""})
    (tmp_path / "file.py").symlink_to("real/x.py")
    (tmp_path / "folder").symlink_to("real/deep", target_is_directory=True)
    assert select_files(tmp_path) == ("file.py", "folder/y.py", "real/deep/y.py", "real/x.py")


@pytest.mark.parametrize(
    ("name", "points_to", "code"),
    [
        ("out.py", "../outside.py", "link-outside"),
        ("out", "..", "link-outside"),
        ("gone.py", "nowhere.py", "link-broken"),
        ("self", "self", "link-broken"),
        ("a/up", "..", "link-loop"),
        ("a/here", ".", "link-loop"),
        ("settings", ".env", "link-secret"),
    ],
)
def test_a_link_that_cannot_ship_is_refused_by_name(tmp_path: Path, name: str, points_to: str, code: str) -> None:
    project = tmp_path / "project"
    write_files(tmp_path, {"outside.py": "", "project/a/x.py": "", "project/.env": "A=1"})
    (project / name).symlink_to(points_to)
    with pytest.raises(BundleError) as refused:
        select_files(project)
    assert refused.value.code == code
    assert name in refused.value.message
    assert refused.value.hint is not None


def test_two_links_to_each_others_folders_end(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/x.py": "", "b/y.py": ""})
    (tmp_path / "a" / "to_b").symlink_to("../b", target_is_directory=True)
    (tmp_path / "b" / "to_a").symlink_to("../a", target_is_directory=True)
    with pytest.raises(BundleError) as refused:
        select_files(tmp_path)
    assert refused.value.code == "link-loop"


def test_an_ignored_link_is_nobodys_business(tmp_path: Path) -> None:
    write_files(tmp_path, {".gitignore": "/out\n", "a.py": ""})
    (tmp_path / "out").symlink_to("/")
    assert select_files(tmp_path) == ("a.py",)


@pytest.mark.parametrize("name", [b"bad-\xff.py", b"two\nlines.py", b"tab\there.py", b"back\\slash.py"])
def test_a_name_that_an_archive_cannot_carry_is_refused(tmp_path: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"")
    with pytest.raises(BundleError) as refused:
        select_files(tmp_path)
    assert refused.value.code == "file-name"
    assert refused.value.message.isascii()


def test_a_name_that_is_ignored_may_be_anything(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("two*\n")
    (tmp_path / "two\nlines").write_bytes(b"")
    assert select_files(tmp_path) == ()


def test_sockets_and_pipes_are_passed_by(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    write_files(tmp_path, {"a.py": ""})
    assert select_files(tmp_path) == ("a.py",)


_AS_NOBODY = """
import os, sys
from pathlib import Path
from fnkit.bundler import select_files
from fnkit.errors import BundleError
if os.getuid() == 0:
    os.setuid(65534)
try:
    select_files(Path(sys.argv[1]))
except BundleError as error:
    print(error.code, error.message)
"""


@pytest.mark.parametrize("closed", ["a.py", "folder"])
def test_what_cannot_be_read_is_named(closed: str) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        root = Path(folder)
        root.chmod(0o755)
        write_files(root, {"a.py": "", "folder/b.py": ""})
        (root / closed).chmod(0)
        done = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, folder], capture_output=True, text=True, check=False
        )
        (root / closed).chmod(0o700)
    assert done.stdout == f"unreadable-file {closed} cannot be read: permission denied.\n", done.stderr


def test_a_line_that_is_no_pattern_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path, {".gitignore": "!\n", "a.py": ""})
    with pytest.raises(BundleError) as refused:
        select_files(tmp_path)
    assert refused.value.code == "ignore-file"
