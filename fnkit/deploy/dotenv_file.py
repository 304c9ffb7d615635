"""Sets and removes values in the ``.env`` files of a project, which the next deploy sends."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pathspec import GitIgnoreSpec

from fnkit.contract.limits import SECRET_VALUE_MAX_BYTES
from fnkit.deploy.user_cache import write_private
from fnkit.errors import ProjectError, UsageError
from fnkit.project.dotenv import DotenvError, parse_dotenv, set_dotenv_value, unset_dotenv_value
from fnkit.project.files import OutsideProject, read_project_text


def set_secret(root: Path, file: str, name: str, value: str) -> None:
    """Set a value in a ``.env`` file, which only its owner can read then. Other lines stay as they are.

    Args:
        root: The project's folder.
        file: Name of the file, which is created if it does not exist.
        name: Name of the secret.
        value: Its value.

    Raises:
        UsageError: ``secret-too-long`` or ``bad-secret-value``.
        ProjectError: ``bad-dotenv``: the file cannot be read.
    """
    if len(value.encode("utf-8", "surrogateescape")) > SECRET_VALUE_MAX_BYTES:
        raise UsageError(
            f"The value of {name} has more than {SECRET_VALUE_MAX_BYTES} bytes.", code="secret-too-long"
        )
    if "\0" in value:
        raise UsageError(
            f"The value of {name} contains a null character.",
            code="bad-secret-value",
            hint="Encode binary data as base64.",
        )
    _edit(root, file, lambda text: set_dotenv_value(text, name, value))


def unset_secret(root: Path, file: str, name: str) -> bool:
    """Remove a value from a ``.env`` file; return whether it had one.

    Raises:
        ProjectError: ``bad-dotenv``: the file cannot be read.
    """
    if name not in _parse(file, _read(root, file)):
        return False
    _edit(root, file, lambda text: unset_dotenv_value(text, name))
    return True


def is_ignored_by_git(root: Path, file: str) -> bool:
    """Return whether git would not commit a file; also if the folder is in no repository.

    Reads the ``.gitignore`` files only: a stranger's repository may configure programs that git itself runs.
    """
    repository = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), None)
    if repository is None:
        return True
    ignored = False
    folders = [folder for folder in (root, *root.parents) if folder.is_relative_to(repository)]
    for folder in reversed(folders):  # rules of deeper folders have precedence
        try:
            rules = GitIgnoreSpec.from_lines((folder / ".gitignore").read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError):
            continue
        verdict = rules.check_file((root / file).relative_to(folder).as_posix()).include
        ignored = ignored if verdict is None else verdict
    return ignored


def _edit(root: Path, file: str, edit: Callable[[str], str]) -> None:
    text = _read(root, file)
    _parse(file, text)
    write_private(Path(os.path.realpath(root / file)), edit(text).encode("utf-8", "surrogateescape"))


def _parse(file: str, text: str) -> dict[str, str]:
    try:
        return dict(parse_dotenv(text))
    except DotenvError as error:
        raise ProjectError(
            f"{file} cannot be read: {error.reason}.",
            code="bad-dotenv",
            hint="Lines are NAME=value. Quote values that contain # after a space, quotes or line ends.",
            file=file,
            line=error.line,
        ) from None


def _read(root: Path, file: str) -> str:
    try:
        return read_project_text(root, root / file)
    except FileNotFoundError:
        return ""
    except OutsideProject:
        raise ProjectError(
            f"{file} is a symbolic link to a file outside the project.",
            code="bad-dotenv",
            hint="Edit that file, or replace the link with a file.",
        ) from None
    except UnicodeDecodeError:
        raise ProjectError(f"{file} is not UTF-8 text.", code="bad-dotenv") from None
