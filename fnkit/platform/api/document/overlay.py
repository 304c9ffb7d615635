"""Changes to a JSON document as data: where, what, and why they are right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

__all__ = ["Entry", "Evidence", "Json", "Source", "apply", "places"]

Json: TypeAlias = object
"""What JSON can say; told apart where it is looked into."""

Source: TypeAlias = Literal["recorded", "sibling", "document", "published", "ours"]


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a change is right.

    ``source`` is recorded traffic of this API, or of a sibling behind the same gateway, the document's own prose,
    what is published (documentation, SDKs, reports), or a choice of ours where nothing is known.
    """

    source: Source
    text: str


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One change.

    ``at`` holds JSON pointers (RFC 6901) in which a segment ``*`` stands for every key. At each place, ``merge`` is
    merged in (RFC 7396: null removes), ``append`` is added to a list, and ``exact`` makes an object schema name all
    its properties as required, save these, and allow no others.
    """

    what: str
    evidence: Evidence
    at: list[str]
    merge: dict[str, object] | None = None
    append: list[object] | None = None
    exact: list[str] | None = None


def apply(document: dict[str, object], entries: list[Entry]) -> dict[str, object]:
    """Return the document with every entry applied, in order; the given one is not changed.

    Raises:
        KeyError: a place is nowhere in the document.
        TypeError: what stands there cannot be changed so.
    """
    changed = {key: _copy(value) for key, value in document.items()}
    for entry in entries:
        for pointer in entry.at:
            found = list(places(changed, pointer))
            if not found:
                raise KeyError(f"{entry.what}: nothing at {pointer}")
            for target in found:
                _change(target, entry, pointer)
    return changed


def places(document: Json, pointer: str) -> Iterator[Json]:
    """Yield what a pointer leads to: one value, or several where it holds ``*``, or none."""
    segments = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    yield from _walk(document, segments)


def _walk(value: Json, segments: list[str]) -> Iterator[Json]:
    if not segments:
        yield value
        return
    first, rest = segments[0], segments[1:]
    if isinstance(value, dict):
        for key in list(value) if first == "*" else [first] if first in value else []:
            yield from _walk(value[key], rest)
    elif isinstance(value, list):
        chosen = value if first == "*" else value[int(first) : int(first) + 1] if first.isdigit() else []
        for item in chosen:
            yield from _walk(item, rest)


def _change(target: Json, entry: Entry, pointer: str) -> None:
    if entry.append is not None:
        if not isinstance(target, list):
            raise TypeError(f"{entry.what}: no list at {pointer}")
        target.extend(_copy(item) for item in entry.append)
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
        _merge(target, entry.merge)


def _merge(target: dict[str, object], patch: dict[str, object]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            inner = target.get(key)
            if not isinstance(inner, dict):
                inner = target[key] = {}
            _merge(inner, value)
        else:
            target[key] = _copy(value)


def _copy(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value
