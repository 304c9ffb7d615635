"""What a cluster says about room for a Pod: whether the end of others could make room for it. Pure.

The texts are those of the quota controller and the scheduler of Kubernetes 1.34. Of a text that is not understood,
room is assumed to help, so that a start waits instead of failing.
"""

from __future__ import annotations

import re
from typing import Final

from lightkube.utils.quantity import parse_quantity

_QUOTA: Final = re.compile(r"requested: (?P<requested>.*?), used: .*?, limited: (?P<limited>.*)")
_NEVER_PREEMPTED: Final = "Preemption is not helpful for scheduling"
_NO_VICTIMS: Final = "No preemption victims found"


def fits_quota(message: str) -> bool:
    """Return whether a quota allows a Pod at all, if nothing else uses it.

    >>> fits_quota("exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2")
    True
    >>> fits_quota("exceeded quota: q, requested: memory=304Mi, used: memory=0, limited: memory=100Mi")
    False
    """
    found = _QUOTA.search(message)
    if found is None:
        return True
    limited = _quantities(found["limited"])
    return all(
        _is_at_most(quantity, limited.get(name, quantity))
        for name, quantity in _quantities(found["requested"]).items()
    )


def _quantities(text: str) -> dict[str, str]:
    """Return the quantities of resources in ``cpu=1,memory=304Mi``."""
    return {name: quantity for name, _, quantity in (part.partition("=") for part in text.split(","))}


def _is_at_most(quantity: str, limit: str) -> bool:
    try:
        first, second = parse_quantity(quantity), parse_quantity(limit)
    except ValueError:
        return True
    return first is None or second is None or first <= second


def fits_a_node(message: str) -> bool:
    """Return whether a Pod that could not be scheduled could be if other Pods ended.

    >>> fits_a_node("1 Insufficient memory. preemption: 0/1 nodes are available: 1 No preemption victims found …")
    True
    """
    return _NEVER_PREEMPTED not in message or _NO_VICTIMS in message
