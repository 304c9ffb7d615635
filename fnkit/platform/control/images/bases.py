"""The bases of images: each is made, or copied from its registry, when it is first needed, and then kept."""

from __future__ import annotations

import asyncio
import hashlib
import platform
from functools import partial
from typing import Final

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.images.host_base import host_base_key, make_host_base
from fnkit.platform.control.images.layer_store import LayerStore
from fnkit.platform.control.images.pulled_base import pull_base
from fnkit.platform.model.images import BaseImage

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
        self._lock = asyncio.Lock()  # a second request for the same base waits for the first one's

    async def get(self, runtime: str, interpreter: str) -> BaseImage:
        """Return the base for functions of a runtime.

        Args:
            runtime: The name of the runtime.
            interpreter: Absolute path of the interpreter on this machine.

        Raises:
            PlatformError: It cannot be made or copied.
            OSError: It cannot be stored.
        """
        machine = platform.machine()
        architecture = _ARCHITECTURES.get(machine, machine)
        reference = self._context.settings.base_images.get(runtime)
        if reference is None:
            key = await asyncio.to_thread(host_base_key, interpreter)
            make = partial(make_host_base, interpreter, self._store)
        else:
            key = f"{architecture} {reference}"
            make = partial(pull_base, reference, self._store, architecture=architecture)
        name = _FACT + hashlib.sha256(key.encode()).hexdigest()
        facts = self._context.store.key_values
        async with self._lock:
            known = facts.get(name, BaseImage)
            if known is not None and all(self._store.has(layer) for layer in known.layers):
                return known
            base = await asyncio.to_thread(make)
            with self._context.store.transaction():
                facts.put(name, base)
        return base
