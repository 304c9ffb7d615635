"""The OpenAPI document at ``/openapi.json``: Scaleway's document, an overlay of changes, and cURL samples.

An overlay entry holds JSON pointers, a change and the evidence for it. The document needs no API key, since it
contains nothing specific to this platform.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from importlib.resources import files
from typing import Final, Literal, TypeAlias

import msgspec
import yaml
from starlette.requests import Request
from starlette.responses import Response

from fnkit.platform.control.api.http import JSON, encode, response_headers
from fnkit.platform.control.control_plane import ControlPlane

JsonValue: TypeAlias = object
"""Any JSON value; code narrows the type where it accesses one."""
EvidenceSource: TypeAlias = Literal["recorded", "sibling", "document", "published", "ours"]

OPENAPI_PATH: Final = "/openapi.json"


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The evidence for a change.

    Attributes:
        source: ``recorded``: traffic of this API. ``sibling``: traffic of another API behind the same gateway.
            ``document``: prose of the API document. ``published``: documentation, SDKs or issue reports.
            ``ours``: fnkit's choice, where nothing is known.
        text: The evidence in words.
    """

    source: EvidenceSource
    text: str


class OverlayEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A change to the document.

    Attributes:
        what: The change in words.
        evidence: Why the change is correct.
        at: JSON pointers (RFC 6901) to the values to change; the segment ``*`` matches every key or index.
        merge: A merge patch (RFC 7396) for an object: ``null`` removes a key.
        append: Items to append to a list.
        exact: Makes an object schema closed: no additional properties, and all properties but these are required.
    """

    what: str
    evidence: Evidence
    at: list[str]
    merge: dict[str, object] | None = None
    append: list[object] | None = None
    exact: list[str] | None = None


def apply_overlay(document: dict[str, object], entries: list[OverlayEntry]) -> dict[str, object]:
    """Return a copy of the document with all entries applied in order.

    Raises:
        KeyError: A pointer matches nothing.
        TypeError: The value at a pointer has the wrong type for the change.
    """
    changed = deepcopy(document)
    for entry in entries:
        for pointer in entry.at:
            targets = list(resolve_pointer(changed, pointer))
            if not targets:
                raise KeyError(f"{entry.what}: nothing at {pointer}")
            for target in targets:
                _apply_entry(target, entry, pointer)
    return changed


def resolve_pointer(document: JsonValue, pointer: str) -> Iterator[JsonValue]:
    """Yield the values that a pointer matches: at most one, or any number if it contains ``*``."""
    # RFC 6901, section 4: "~1" is decoded before "~0", otherwise "~01" would become "/" instead of "~1".
    segments = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    yield from _resolve_segments(document, segments)


def _resolve_segments(value: JsonValue, segments: list[str]) -> Iterator[JsonValue]:
    if not segments:
        yield value
        return
    first, rest = segments[0], segments[1:]
    if isinstance(value, dict):
        for key in list(value) if first == "*" else [first] if first in value else []:
            yield from _resolve_segments(value[key], rest)
    elif isinstance(value, list):
        items = value if first == "*" else value[int(first) : int(first) + 1] if first.isdigit() else []
        for item in items:
            yield from _resolve_segments(item, rest)


def _apply_entry(target: JsonValue, entry: OverlayEntry, pointer: str) -> None:
    if entry.append is not None:
        if not isinstance(target, list):
            raise TypeError(f"{entry.what}: no list at {pointer}")
        target.extend(deepcopy(entry.append))
        return
    if not isinstance(target, dict):
        raise TypeError(f"{entry.what}: no object at {pointer}")
    if entry.exact is not None:
        properties = target["properties"]
        if not isinstance(properties, dict):
            raise TypeError(f"{entry.what}: no properties at {pointer}")
        target["required"] = [name for name in properties if name not in entry.exact]
        target["additionalProperties"] = False
    if entry.merge is not None:
        _merge_patch(target, entry.merge)


def _merge_patch(target: dict[str, object], patch: dict[str, object]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            inner = target.get(key)
            if not isinstance(inner, dict):
                inner = target[key] = {}
            _merge_patch(inner, value)
        else:
            target[key] = deepcopy(value)


@cache
def openapi_document() -> dict[str, object]:
    """Return the OpenAPI document. It is built once and shared: callers must not modify it."""
    document = apply_overlay(original_document(), overlay_entries())
    sources = curl_samples()
    for operation in resolve_pointer(document, "/paths/*/*"):
        if isinstance(operation, dict):
            operation["x-codeSamples"] = [{"lang": "cURL", "source": sources[operation["operationId"]]}]
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


def _read_yaml(name: str) -> object:
    return yaml.safe_load(files("fnkit.platform.control.api.document").joinpath(name).read_text(encoding="utf-8"))


async def get_openapi(_plane: ControlPlane, _request: Request) -> Response:
    """Return the document. It is built on the first request, which takes 0.2 s and therefore runs in a thread."""
    body = await asyncio.to_thread(_encoded_document)
    return Response(body, 200, response_headers(), JSON)


@cache
def _encoded_document() -> bytes:
    return encode(openapi_document())
