"""Bundles PHP functions: their folder, with ``composer.json`` and its lock file, or with a committed ``vendor/``.

The platform's builder runs ``composer install``. With a lock file it installs the locked packages, so ``vendor/``
is left out. Without one, a ``vendor/`` that is part of the project ships, and ``composer.json`` does not: an
installation would replace it by other versions.
"""

from __future__ import annotations

import json
from typing import Final

from fnkit.bundler.archive.layer import empty_layer
from fnkit.bundler.files.content import ContentByPath, read_verified
from fnkit.bundler.languages.declared_build import declared_build
from fnkit.bundler.languages.folder import ArchivePlan, FolderRules, bundle_folder, select_folder
from fnkit.bundler.languages.request import BundleRequest
from fnkit.bundler.model import Bundle
from fnkit.errors import BundleError
from fnkit.project.model import FunctionSpec

_MANIFEST: Final = "composer.json"
_LOCK: Final = "composer.lock"
_VENDOR: Final = "vendor/"
_CREDENTIALS: Final = "auth.json"
"""Composer's credentials for private packages."""
_PLATFORM_PACKAGES: Final = ("php", "ext-", "lib-", "composer-", "hhvm")


def bundle_php(request: BundleRequest) -> Bundle:
    """Build the archive of PHP functions.

    Raises:
        BundleError: ``composer-json``, or a file cannot be part of an archive.
    """
    has_lock = (request.folder / _MANIFEST).is_file() and (request.folder / _LOCK).is_file()
    rules = FolderRules(never=(_CREDENTIALS, *((_VENDOR,) if has_lock else ())))
    content = select_folder(request, rules, [path for one in request.group for path in _handler_files(one)])
    files, note = _choose_packages(request, content.files, has_lock=has_lock)
    plan = ArchivePlan(
        files=files,
        layer=empty_layer(),
        build=declared_build(request),
        handler_files=_handler_files,
        notes=() if note is None else (note,),
    )
    return bundle_folder(request, content, plan)


def _handler_files(function: FunctionSpec) -> tuple[str, ...]:
    return (function.handler.rpartition(".")[0] + ".php",)


def _choose_packages(
    request: BundleRequest, files: ContentByPath, *, has_lock: bool
) -> tuple[ContentByPath, str | None]:
    """Return the files that ship, and a sentence about the packages among them."""
    manifest = files.get(_MANIFEST)
    if manifest is None:
        return files, None
    shown = request.project_path(_MANIFEST)
    required = _required_packages(shown, read_verified(manifest, shown))
    if has_lock or not required:
        return files, None
    if any(path.startswith(_VENDOR) for path in files):
        kept = {path: one for path, one in files.items() if path != _MANIFEST}
        where = request.project_path(_VENDOR.rstrip("/"))
        return kept, f"{where} ships as it is, without composer.json: there is no composer.lock to install from."
    return files, f"{shown} has no composer.lock: the platform's builder chooses the versions of its packages."


def _required_packages(shown: str, content: bytes) -> tuple[str, ...]:
    """Return the packages that ``composer.json`` requires, without PHP and its extensions.

    Raises:
        BundleError: ``composer-json``.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise BundleError(
            f"{shown} is not valid JSON.", code="composer-json", hint="Correct it.", file=shown, line=line
        ) from error
    required = document.get("require") if isinstance(document, dict) else None
    names = required if isinstance(required, dict) else {}
    return tuple(str(name) for name in names if not str(name).startswith(_PLATFORM_PACKAGES) or "/" in str(name))
