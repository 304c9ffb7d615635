"""Builds values from records, such as objects of the API and routes: most of their fields have the same names."""

from __future__ import annotations

from typing import TypeVar

import msgspec

__all__ = ["convert_records"]

Target = TypeVar("Target", bound=msgspec.Struct)


def convert_records(target_type: type[Target], *records: msgspec.Struct, **fields: object) -> Target:
    """Return a value with the fields of the same name of the records and the given fields.

    A field that is ``UNSET`` is absent.

    Raises:
        msgspec.ValidationError: A field has no value, or one of the wrong type: a bug.
    """
    values: dict[str, object] = {}
    for record in records:
        values |= msgspec.structs.asdict(record)
    values |= fields
    return msgspec.convert({name: one for name, one in values.items() if one is not msgspec.UNSET}, target_type)
