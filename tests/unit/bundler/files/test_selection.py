"""Selection of the files to bundle."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fnkit.bundler.files.content import atomic_file
from fnkit.bundler.files.selection import select_files, select_project
from fnkit.errors import BundleError
from tests.support.project_tree import write_files


def test_nested_ignore_file_applies_to_its_folder(tmp_path: Path) -> None:
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


def test_fnkitignore_overrides_gitignore_and_the_exclude_setting(tmp_path: Path) -> None:
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


def test_development_files_are_excluded_by_default(tmp_path: Path) -> None:
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


def test_env_files_and_virtual_environments_cannot_be_reincluded(tmp_path: Path) -> None:
    write_files(
        tmp_path, {".fnkitignore": "!.env\n!.env.prod\n!.venv/\n", ".env": "A=1", ".venv/x.py": "", "a.py": ""}
    )
    assert select_files(tmp_path) == ("a.py",)


SECRETS = (
    ".netrc", ".npmrc", ".pypirc", "id_rsa", "deploy/id_ed25519", "certs/Server.PEM", "tls.key", "a/client.p12",
    "prod.tfstate", "prod.tfstate.backup", ".git-credentials", "prod.tfvars",
)  # fmt: skip
HARMLESS = ("id_map.json", "id_rsa.py", "id_rsa.pub", "keys.json", "key", "pem.txt", "main.py")


def test_usual_secret_files_are_withheld_and_listed(tmp_path: Path) -> None:
    directories = (".aws/credentials", "a/.ssh/config", ".gnupg/x", ".kube/config")
    write_files(tmp_path, dict.fromkeys((*SECRETS, *HARMLESS, *directories, "logs/x.key"), ""))
    write_files(tmp_path, {".gitignore": "logs/\n", ".env": "A=1"})
    selection = select_project(tmp_path)
    assert selection.files == tuple(sorted(HARMLESS))
    assert selection.withheld == tuple(sorted((*SECRETS, ".aws/", "a/.ssh/", ".gnupg/", ".kube/")))


def test_withheld_file_ships_if_a_line_names_it(tmp_path: Path) -> None:
    write_files(
        tmp_path, dict.fromkeys(("certs/ca.pem", "certs/server.key", "tls.key", ".ssh/config", ".ssh/id_rsa"), "")
    )
    for wildcards in ("!*\n", "!*.pem\n!*.key\n!certs/\n!certs/**\n!c*/ca.pem\n!id_[r]sa\n"):
        write_files(tmp_path, {".fnkitignore": wildcards})
        assert not {"certs/ca.pem", "certs/server.key", "tls.key"} & set(select_files(tmp_path))
    write_files(tmp_path, {".fnkitignore": "*.pem\n!certs/ca.pem\n!.ssh/\n!tls.key\n/tls.key\n"})
    selection = select_project(tmp_path)
    assert selection.files == (".ssh/config", "certs/ca.pem")
    assert selection.withheld == (".ssh/id_rsa", "certs/server.key")


@pytest.mark.parametrize("target", ["certs/server.key", ".aws/credentials", ".aws"])
def test_link_to_a_secret_under_another_name_is_rejected(tmp_path: Path, target: str) -> None:
    write_files(tmp_path, dict.fromkeys(("certs/server.key", ".aws/credentials", "main.py"), ""))
    (tmp_path / "settings").symlink_to(target)
    with pytest.raises(BundleError) as raised:
        select_files(tmp_path)
    assert raised.value.code == "link-secret"
    write_files(tmp_path, {".fnkitignore": "!settings\n"})
    assert any(path.startswith("settings") for path in select_files(tmp_path))


def test_link_with_the_name_of_a_secret_is_withheld(tmp_path: Path) -> None:
    write_files(tmp_path, {"real/x": "", "real/id_rsa": ""})
    (tmp_path / "tls.key").symlink_to("real/x")
    (tmp_path / ".aws").symlink_to("real", target_is_directory=True)
    selection = select_project(tmp_path)
    assert selection.files == ("real/x",)
    assert selection.withheld == (".aws/", "real/id_rsa", "tls.key")


def test_lock_file_that_another_run_is_writing_is_not_selected(tmp_path: Path) -> None:
    write_files(tmp_path, {".fnkitignore": "!.fnkit-tmp-*\n", "a.py": ""})
    with atomic_file(tmp_path / "fnkit.python313.scaleway.lock"):
        assert len(list(tmp_path.iterdir())) == 3
        assert select_files(tmp_path) == ("a.py",)


def test_ignore_files_of_the_repository_apply_to_a_nested_project(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {".git/HEAD": "", ".gitignore": "*.log\n/services/shop/local/\n", "services/.gitignore": "*.bak\n"},
    )
    project = tmp_path / "services" / "shop"
    write_files(project, {"a.py": "", "a.log": "", "a.bak": "", "local/x.py": "", "b/local/x.py": ""})
    assert select_files(project) == ("a.py", "b/local/x.py")


def test_repository_rules_do_not_apply_to_an_ignored_project(tmp_path: Path) -> None:
    write_files(tmp_path, {".git/HEAD": "", ".gitignore": "/scratch/\n*.py\n"})
    write_files(tmp_path / "scratch" / "shop", {"a.py": ""})
    assert select_files(tmp_path / "scratch" / "shop") == ("a.py",)


def test_links_inside_the_project_are_followed(tmp_path: Path) -> None:
    write_files(tmp_path, {"real/x.py": "", "real/deep/y.py": ""})
    (tmp_path / "file.py").symlink_to("real/x.py")
    (tmp_path / "folder").symlink_to("real/deep", target_is_directory=True)
    assert select_files(tmp_path) == ("file.py", "folder/y.py", "real/deep/y.py", "real/x.py")


@pytest.mark.parametrize(
    ("name", "points_to", "code"),
    [
        ("out.py", "../outside.py", "link-outside"),
        ("out", "..", "link-outside"),
        ("broken.py", "missing.py", "link-broken"),
        ("self", "self", "link-broken"),
        ("a/up", "..", "link-loop"),
        ("a/here", ".", "link-loop"),
        ("settings", ".env", "link-secret"),
    ],
)
def test_unbundlable_link_is_rejected_by_name(tmp_path: Path, name: str, points_to: str, code: str) -> None:
    project = tmp_path / "project"
    write_files(tmp_path, {"outside.py": "", "project/a/x.py": "", "project/.env": "A=1"})
    (project / name).symlink_to(points_to)
    with pytest.raises(BundleError) as raised:
        select_files(project)
    assert raised.value.code == code
    assert name in raised.value.message
    assert raised.value.hint is not None


def test_mutual_folder_links_are_rejected_as_a_loop(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/x.py": "", "b/y.py": ""})
    (tmp_path / "a" / "to_b").symlink_to("../b", target_is_directory=True)
    (tmp_path / "b" / "to_a").symlink_to("../a", target_is_directory=True)
    with pytest.raises(BundleError) as raised:
        select_files(tmp_path)
    assert raised.value.code == "link-loop"


def test_ignored_link_is_not_checked(tmp_path: Path) -> None:
    write_files(tmp_path, {".gitignore": "/out\n", "a.py": ""})
    (tmp_path / "out").symlink_to("/")
    assert select_files(tmp_path) == ("a.py",)


@pytest.mark.parametrize("name", [b"bad-\xff.py", b"two\nlines.py", b"tab\there.py", b"back\\slash.py"])
def test_file_name_invalid_in_archives_is_rejected(tmp_path: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"")
    with pytest.raises(BundleError) as raised:
        select_files(tmp_path)
    assert raised.value.code == "file-name"
    assert raised.value.message.isascii()


def test_ignored_file_name_is_not_checked(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("two*\n")
    (tmp_path / "two\nlines").write_bytes(b"")
    assert select_files(tmp_path) == ()


def test_special_files_are_skipped(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    write_files(tmp_path, {"a.py": ""})
    assert select_files(tmp_path) == ("a.py",)


_SELECT_AS_UNPRIVILEGED_USER = """
import os, sys
from pathlib import Path
from fnkit.bundler.files.selection import select_files
from fnkit.errors import BundleError
if os.getuid() == 0:
    os.setuid(65534)
try:
    select_files(Path(sys.argv[1]))
except BundleError as error:
    print(error.code, error.message)
"""


@pytest.mark.parametrize("unreadable", ["a.py", "folder"])
def test_unreadable_path_is_named_in_the_error(unreadable: str) -> None:
    with tempfile.TemporaryDirectory() as folder:  # other users cannot read pytest's temporary folders
        root = Path(folder)
        root.chmod(0o755)
        write_files(root, {"a.py": "", "folder/b.py": ""})
        (root / unreadable).chmod(0)
        process = subprocess.run(
            [sys.executable, "-c", _SELECT_AS_UNPRIVILEGED_USER, folder],
            capture_output=True,
            text=True,
            check=False,
        )
        (root / unreadable).chmod(0o700)
    assert process.stdout == f"unreadable-file {unreadable} cannot be read: permission denied.\n", process.stderr


def test_invalid_ignore_pattern_is_rejected(tmp_path: Path) -> None:
    write_files(tmp_path, {".gitignore": "!\n", "a.py": ""})
    with pytest.raises(BundleError) as raised:
        select_files(tmp_path)
    assert raised.value.code == "ignore-file"
