"""The OpenAPI document at ``/openapi.json``: Scaleway's document, an overlay of changes, and cURL samples.

An overlay entry holds JSON pointers, a change and the evidence for it. The document needs no API key, since it
contains nothing specific to this platform.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec
import yaml

from fnkit.platform.api.document.overlay import OverlayEntry, apply_overlay, resolve_pointer

__all__ = ["original_document", "overlay_entries", "curl_samples", "openapi_document"]


@cache
def openapi_document() -> dict[str, object]:
    """Return the OpenAPI document. It is built once and shared: callers must not modify it."""
    document = apply_overlay(original_document(), overlay_entries())
    _add_curl_samples(document)
    return document


def original_document() -> dict[str, object]:
    """Return Scaleway's document without changes."""
    return msgspec.convert(_read_yaml("functions-api.openapi.yaml"), dict[str, object])


def overlay_entries() -> list[OverlayEntry]:
    """Return the changes to Scaleway's document, each with its evidence."""
    return msgspec.convert(_read_yaml("overlay.yaml"), list[OverlayEntry])


def curl_samples() -> dict[str, str]:
    """Return the cURL samples by ``operationId``."""
    return msgspec.convert(_read_yaml("samples.yaml"), dict[str, str])


def _add_curl_samples(document: dict[str, object]) -> None:
    sources = curl_samples()
    for operation in resolve_pointer(document, "/paths/*/*"):
        if isinstance(operation, dict):
            operation["x-codeSamples"] = [{"lang": "cURL", "source": sources[operation["operationId"]]}]


def _read_yaml(name: str) -> object:
    return yaml.safe_load(files("fnkit.platform.api.document").joinpath(name).read_text(encoding="utf-8"))
