"""A function declared in settings, as the checks of its language see it, and what they share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fnkit.project.files import OutsideProject, read_project_text
from fnkit.project.problems import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredHandler:
    """The handler of a function declared in settings.

    Attributes:
        root: The project folder.
        folder: The folder of the function's code.
        name: The handler string.
        subject: The function, which receives problems.
        build_output: Folder that the function's build writes, relative to ``folder``; ``None`` without a build.
            What lies there need not exist yet.
    """

    root: Path
    folder: Path
    name: str
    subject: Subject
    build_output: str | None = None

    def is_built(self, path: str) -> bool:
        """Return whether a path, relative to ``folder``, lies where the function's build writes."""
        if self.build_output is None:
            return False
        return PurePosixPath(path).is_relative_to(PurePosixPath(self.build_output))

    def shown(self, file: Path) -> str:
        """Return the path of a file relative to the project, for messages."""
        return file.relative_to(self.root).as_posix()

    def read(self, file: Path) -> str | None:
        """Return the text of a source file, or ``None`` if it cannot be read, so that nothing is known of it."""
        try:
            return read_project_text(self.root, file)
        except (OSError, OutsideProject, UnicodeDecodeError):
            return None

    def require_file(self, file: Path) -> bool:
        """Return whether a file exists or will be built; add a problem if not."""
        if file.is_file() or self.is_built(file.relative_to(self.folder).as_posix()):
            return True
        self.add_missing(f"there is no file {self.shown(file)}")
        return False

    def add_missing(self, what: str, hint: str | None = None) -> None:
        """Add the problem that something does not exist that the handler string refers to."""
        self.subject.add("handler-missing", f"{self.subject}: {what}.", hint, setting="handler")

    def find_file(self, path: str, suffixes: Iterable[str]) -> Path | None:
        """Return the first existing file of a path, relative to ``folder``, with one of the suffixes."""
        return next((file for suffix in suffixes if (file := self.folder / f"{path}{suffix}").is_file()), None)

    def add_missing_file(self, path: str, suffixes: Iterable[str], hint: str | None = None) -> None:
        """Add the problem that there is no file of a path, relative to ``folder``, with any of the suffixes."""
        shown = " or ".join(self.shown(self.folder / f"{path}{suffix}") for suffix in suffixes)
        self.add_missing(f"the handler {self.name} refers to {shown}, which does not exist", hint)


def clauses(text: str, start: re.Pattern[str], end: str) -> Iterator[str]:
    """Yield the texts between a match of ``start`` and the next ``end``, or the end of the text.

    One pass over the text, however many matches it has: sources may be a stranger's.
    """
    position = 0
    while found := start.search(text, position):
        close = text.find(end, found.end())
        if close < 0:
            yield text[found.end() :]
            return
        yield text[found.end() : close]
        position = close


def main_package_note(subject: Subject, language: str, refused: str) -> str:
    """Return the note about a package ``main``.

    Args:
        subject: The function.
        language: The language of the program.
        refused: What Scaleway's builder expects instead.
    """
    return (
        f"{subject} is a {language} program that serves HTTP itself. The local platform builds and runs it; "
        f"Scaleway's builder was seen to refuse such a package: it expects {refused}."
    )
