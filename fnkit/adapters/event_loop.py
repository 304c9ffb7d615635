"""Runs coroutines in one event loop for the life of the process.

A loop for each call, as ``asyncio.run`` makes it, would close what a module keeps between calls: pools of
connections and clients belong to the loop in which they were opened. A process answers one request at a time, so
calls do not share the loop at the same moment. Tasks that a call leaves behind continue during the next one.
"""

from __future__ import annotations

import atexit
from collections.abc import Coroutine
from contextvars import copy_context
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

Result = TypeVar("Result")


@cache
def process_runner() -> asyncio.Runner:
    """Return the runner of this process, which is closed when the process exits."""
    import asyncio  # 30 ms, for asynchronous handlers only

    runner = asyncio.Runner()
    atexit.register(runner.close)
    return runner


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end. Context variables that it sets do not outlive it."""
    return process_runner().run(coroutine, context=copy_context())
