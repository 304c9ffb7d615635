"""A folder's name → a project's name."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["project_name"]

FALLBACK: Final = "functions"
"""The name where a folder's own holds no letter or digit that a namespace can be called by."""

LENGTH_MAX: Final = 40
"""Leaves room for ``-<stage>`` (17 characters) within one DNS label of 63."""


def project_name(folder: str) -> str:
    """The name for a project in a folder called ``folder``: ``[a-z][a-z0-9-]*``, at most 40 characters.

    Accents are dropped, everything else that does not fit becomes one dash.

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
        return FALLBACK
    named = dashed if dashed[0].isalpha() else f"fn-{dashed}"
    return named[:LENGTH_MAX].rstrip("-")
