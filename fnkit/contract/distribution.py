"""The name under which fnkit is distributed, and how an extra of it is installed.

The import, the folder and the command are called ``fnkit``. The distribution has another name, because the
``fnkit`` on PyPI is a different project. Until the distribution is published, nothing that fnkit prints or
generates may ask an index for it.
"""

from __future__ import annotations

from typing import Final

DISTRIBUTION: Final = "fnkit-deploy"

OWN_REQUIREMENTS: Final = frozenset({DISTRIBUTION, "fnkit"})
"""Normalized names of requirements that mean fnkit itself. Bundles contain the one that is installed."""


def extra_install_hint(extra: str) -> str:
    """Return how to install an extra, as a clause without a full stop.

    >>> extra_install_hint("queues")
    "run pip install '.[queues]' in a clone of fnkit"
    """
    return f"run pip install '.[{extra}]' in a clone of fnkit"
