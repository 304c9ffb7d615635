"""The number of examples of a property test, scaled to the Hypothesis profile of the run."""

from __future__ import annotations

from typing import Final

from hypothesis import settings

_PROFILE_EXAMPLES: Final = 100
"""``max_examples`` of the profile ``repeatable``, which runs the counts that tests state."""

_EXAMPLES_MIN: Final = 5


def examples(count: int) -> int:
    """Return a test's number of examples, scaled to the profile that the run has chosen.

    Decorators evaluate it when their module is imported, which is after the profile has been loaded.
    """
    return min(count, max(_EXAMPLES_MIN, count * settings().max_examples // _PROFILE_EXAMPLES))
