"""Derives the name of a project from the name of its folder."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_FALLBACK_NAME: Final = "functions"
"""Name of a project whose folder name contains no ASCII letter or digit."""

_NAME_MAX: Final = 40
"""Leaves room for ``-<stage>`` (17 characters) within the 63 characters of a DNS label."""


def project_name(folder: str) -> str:
    """Return a project name for a folder name: ``[a-z][a-z0-9-]*``, at most 40 characters.

    Accents are removed; each sequence of other invalid characters becomes one dash.

    >>> project_name("My Shop_2")
    'my-shop-2'
    >>> project_name("Café")
    'cafe'
    >>> project_name("3D")
    'fn-3d'
    """
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode().lower()
    dashed = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not dashed:
        return _FALLBACK_NAME
    named = dashed if dashed[0].isalpha() else f"fn-{dashed}"
    return named[:_NAME_MAX].rstrip("-")
