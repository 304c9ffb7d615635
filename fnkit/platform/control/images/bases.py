"""The bases of images: each is made, or copied from its registry, when it is first needed, and then kept."""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

from fnkit.contract.runtimes import find_runtime
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.images.host_base import host_base_key, make_host_base
from fnkit.platform.control.images.layer_store import LayerStore
from fnkit.platform.control.images.other_interpreter import OtherInterpreter
from fnkit.platform.control.images.pulled_base import pull_base
from fnkit.platform.model.images import BaseImage
from fnkit.worker.interpreters import INTERPRETERS

_FACT: Final = "image-base-"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
"""What Linux calls an architecture → what Go calls it, and images after it."""


class Bases:
    """What lies below the layers of functions.

    Args:
        context: Shared dependencies. The settings name images for some runtimes; for the others the base is the
            interpreter of this machine.
        store: Receives the layers.
    """

    def __init__(self, context: ControlContext, store: LayerStore) -> None:
        self._context = context
        self._store = store
        self._making: dict[str, asyncio.Task[None]] = {}  # by fact; all who need the same base wait for one task

    async def get(self, runtime: str, interpreter: str) -> BaseImage:
        """Return the base for functions of a runtime.

        Args:
            runtime: The name of the runtime.
            interpreter: Real absolute path of the program of the runtime on this machine: the interpreter, or for
                compiled languages what builds functions.

        Raises:
            PlatformError: It cannot be made or copied.
            OSError: It cannot be stored.
            sqlite3.OperationalError: The database cannot be written.
        """
        machine = platform.machine()
        architecture = _ARCHITECTURES.get(machine, machine)
        reference = self._context.settings.base_images.get(runtime)
        if reference is None:
            python, other = _host_interpreters(runtime, interpreter)
            key = await asyncio.to_thread(host_base_key, python, other)
            make = partial(make_host_base, python, self._store, other)
        else:
            key = f"{architecture} {reference}"
            make = partial(pull_base, reference, self._store, architecture=architecture)
        name = _FACT + hashlib.sha256(key.encode()).hexdigest()
        while (known := self._find(name)) is None:
            task = self._making.get(name)
            if task is None:
                task = self._making[name] = asyncio.create_task(self._make(name, make))
                task.add_done_callback(lambda done: self._on_made(name, done))
            # A newer deployment of the function that needs it, which cancels this one, needs the same base.
            await asyncio.shield(task)
        return known

    def _find(self, name: str) -> BaseImage | None:
        known = self._context.store.key_values.get(name, BaseImage)
        return known if known is not None and all(self._store.has(layer) for layer in known.layers) else None

    async def _make(self, name: str, make: Callable[[], BaseImage]) -> None:
        base = await asyncio.to_thread(make)
        with self._context.store.transaction():
            self._context.store.key_values.put(name, base)

    def _on_made(self, name: str, task: asyncio.Task[None]) -> None:
        del self._making[name]
        if not task.cancelled():
            task.exception()  # everybody who waited for it may have been cancelled


def _host_interpreters(runtime: str, program: str) -> tuple[str, OtherInterpreter | None]:
    """Return the Python and the other interpreter of a base for functions of a runtime."""
    found = find_runtime(runtime)
    language = found.language if found is not None else ""
    if language == "Python":
        return program, None
    other = OtherInterpreter(language, program) if language in INTERPRETERS else None
    return os.path.realpath(sys.executable), other  # the core runtime runs on the Python of the platform
