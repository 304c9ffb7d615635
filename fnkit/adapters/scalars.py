"""Decodes single values: from JSON, where a number is no text, and from text, of which everything else consists."""

from __future__ import annotations

import math
import operator
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from fnkit.adapters.faults import INVALID, Fault, Faults, Location

Decoder: TypeAlias = Callable[[object, Location, Faults], Any]
"""Returns the value, or ``INVALID`` after adding the faults."""

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,1000}", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", re.ASCII)
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})


def reject(location: Location, faults: Faults, message: str, kind: str = "type") -> Any:
    """Add a fault, and return ``INVALID``."""
    faults.append(Fault(location, message, kind))
    return INVALID


def decode_any(value: object, _location: Location, _faults: Faults) -> object:
    """Accept every value."""
    return value


def decode_string(value: object, location: Location, faults: Faults) -> Any:
    """Decode ``str``."""
    return value if isinstance(value, str) else reject(location, faults, "expected text")


def decode_null(value: object, location: Location, faults: Faults) -> Any:
    """Decode ``None``."""
    return None if value is None else reject(location, faults, "expected null")


def decode_integer(value: object, location: Location, faults: Faults) -> Any:
    """Decode ``int`` from JSON; ``1.0`` is one, as in JSON Schema."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return reject(location, faults, "expected a whole number")


def decode_integer_text(value: object, location: Location, faults: Faults) -> Any:
    """Decode ``int`` from text."""
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    return reject(location, faults, "expected a whole number")


def decode_float(value: object, location: Location, faults: Faults) -> Any:
    """Decode ``float`` from JSON."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    return reject(location, faults, "expected a number")


def decode_float_text(value: object, location: Location, faults: Faults) -> Any:
    """Decode ``float`` from text."""
    if isinstance(value, str) and _NUMBER.fullmatch(value) and math.isfinite(number := float(value)):
        return number
    return reject(location, faults, "expected a number")


def decode_boolean(value: object, location: Location, faults: Faults) -> Any:
    """Decode ``bool`` from JSON."""
    return value if isinstance(value, bool) else reject(location, faults, "expected true or false")


def decode_boolean_text(value: object, location: Location, faults: Faults) -> Any:
    """Decode ``bool`` from text."""
    word = value.lower() if isinstance(value, str) else None
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    return reject(location, faults, "expected true or false")


def decode_bytes(value: object, location: Location, faults: Faults) -> Any:
    """Decode ``bytes`` from base64."""
    import base64

    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except ValueError:
        pass
    return reject(location, faults, "expected base64")


def decode_decimal(value: object, location: Location, faults: Faults) -> Any:
    """Decode ``Decimal`` from text or a JSON number."""
    from decimal import Decimal

    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    return reject(location, faults, "expected a decimal number")


_FROM_TEXT: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("datetime", "datetime"): ("fromisoformat", "expected a date and time such as 2026-11-29T21:30:00Z"),
    ("datetime", "date"): ("fromisoformat", "expected a date such as 2026-11-29"),
    ("datetime", "time"): ("fromisoformat", "expected a time such as 21:30:00"),
    ("uuid", "UUID"): ("", "expected a UUID"),
}
"""Types of the standard library that are text in JSON: their constructor, and what is expected."""


def decoder_from_text(hint: type[Any]) -> Decoder | None:
    """Return the decoder of a date, a time or a UUID, or ``None`` for other types."""
    row = _FROM_TEXT.get((hint.__module__, hint.__name__))
    if row is None or getattr(sys.modules.get(hint.__module__), hint.__name__, None) is not hint:
        return None
    construct: Callable[[str], object] = getattr(hint, row[0]) if row[0] else hint
    expected = row[1]

    def decode(value: object, location: Location, faults: Faults) -> Any:
        if isinstance(value, str):
            try:
                return construct(value)
            except ValueError:
                pass
        return reject(location, faults, expected, "type" if not isinstance(value, str) else "value")

    return decode


def decoder_of_choices(pairs: Sequence[tuple[object, object]], *, is_text: bool) -> Decoder:
    """Return the decoder of a ``Literal`` or an ``Enum``.

    Args:
        pairs: Raw values, and the result for each.
        is_text: Whether values are compared by their text.
    """
    expected = "expected one of " + ", ".join(_shown(raw) for raw, _ in pairs)

    def decode(value: object, location: Location, faults: Faults) -> Any:
        for raw, result in pairs:
            if (type(raw) is type(value) and raw == value) or (is_text and _text(raw) == value):
                return result
        return reject(location, faults, expected, "value")

    return decode


def _text(raw: object) -> str:
    """Return how a choice is written in a query: ``true`` for ``True``."""
    return str(raw).lower() if isinstance(raw, bool) else str(raw)


def _shown(raw: object) -> str:
    return f"'{raw}'" if isinstance(raw, str) else _text(raw)


CONSTRAINTS: Final[Mapping[str, tuple[str, Callable[[Any, Any], bool]]]] = {
    "ge": ("must be at least {}", operator.ge),
    "gt": ("must be greater than {}", operator.gt),
    "le": ("must be at most {}", operator.le),
    "lt": ("must be less than {}", operator.lt),
    "min_length": ("must have a length of at least {}", lambda value, limit: len(value) >= limit),
    "max_length": ("must have a length of at most {}", lambda value, limit: len(value) <= limit),
    "pattern": ("must match {}", lambda value, limit: re.match(limit, value) is not None),
}
"""Checks of decoded values by name: what a value must be, and the check."""


class Constraint(NamedTuple):
    """A check of a decoded value.

    Attributes:
        name: One of ``CONSTRAINTS``.
        limit: The number or the pattern.
    """

    name: str
    limit: Any

    def holds(self, value: Any) -> bool:
        """Return whether a value meets it; ``None`` does, as an optional value that is null has no size."""
        try:
            return value is None or bool(CONSTRAINTS[self.name][1](value, self.limit))
        except (TypeError, ArithmeticError):
            return False


def constrained(decode: Decoder, constraints: list[Constraint]) -> Decoder:
    """Return a decoder that checks what another one returns."""
    if not constraints:
        return decode

    def check(value: object, location: Location, faults: Faults) -> Any:
        result = decode(value, location, faults)
        if result is INVALID:
            return INVALID
        broken = [one for one in constraints if not one.holds(result)]
        for one in broken:
            faults.append(Fault(location, CONSTRAINTS[one.name][0].format(one.limit), "constraint"))
        return INVALID if broken else result

    return check
