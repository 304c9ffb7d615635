"""The further indexes that uv is configured for, in the environment and by the project, with their credentials.

pip needs one of them to fetch a locked file that only an index with credentials serves.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from fnkit.bundler.dependencies.uv_settings import UvSettings

_NAMED: Final = re.compile(r"([\w.-]+)=(.+)")


@dataclass(frozen=True, slots=True, repr=False)
class _Index:
    url: str
    name: str = ""


def find_index(url: str, settings: UvSettings, environ: Mapping[str, str]) -> str | None:
    """Return the further index that serves a URL, with its credentials; ``None`` if there is none.

    It has the same host and port. Of several, it is the one that has most of its path in common with the URL.

    Args:
        url: The URL of a file.
        settings: Those of the project.
        environ: The environment. A name in it takes the place of the project's index of the same name, as in uv.
    """
    indexes = (*_from_environment(environ), *_from_settings(settings))
    found = [index for index in indexes if _place(index.url) == _place(url)]
    if not found:
        return None
    return _with_credentials(max(found, key=lambda index: _common_length(index.url, url)), environ)


def _from_environment(environ: Mapping[str, str]) -> Iterator[_Index]:
    for variable in ("UV_INDEX", "UV_EXTRA_INDEX_URL"):
        for entry in environ.get(variable, "").split():
            named = _NAMED.fullmatch(entry)  # uv accepts name=url
            yield _Index(named[2], named[1]) if named and "://" not in named[1] else _Index(entry)


def _from_settings(settings: UvSettings) -> Iterator[_Index]:
    declared, further = settings.get("index"), settings.get("extra-index-url")
    for entry in declared if isinstance(declared, list) else ():
        if isinstance(entry, dict) and isinstance(url := entry.get("url"), str):
            yield _Index(url, str(entry.get("name", "")))
    for entry in further if isinstance(further, list) else ():
        if isinstance(entry, str):
            yield _Index(entry)


def _place(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _common_length(*urls: str) -> int:
    return len(posixpath.commonpath(["/" + urlsplit(url).path for url in urls]))


def _with_credentials(index: _Index, environ: Mapping[str, str]) -> str:
    """Return its URL, with ``UV_INDEX_<NAME>_USERNAME`` and ``…_PASSWORD`` if it has no credentials itself."""
    parts = urlsplit(index.url)
    prefix = f"UV_INDEX_{re.sub(r'[^A-Za-z0-9]', '_', index.name).upper()}"
    user, password = environ.get(f"{prefix}_USERNAME", ""), environ.get(f"{prefix}_PASSWORD", "")
    if "@" in parts.netloc or not index.name or not (user or password):
        return index.url
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{credentials}@{parts.netloc}"))
