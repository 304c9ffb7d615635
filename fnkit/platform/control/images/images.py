"""The images of all functions: one for each deployment, removed some time after their function.

Layers are shared by all images that contain them: a layer is removed with the last of its images.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from fnkit.contract.invocation.environment import (
    CODE_DIRECTORY,
    HOME_DIRECTORY,
    USER_NAME,
    EnvironmentSpec,
    instance_environment,
)
from fnkit.contract.runtimes import find_runtime
from fnkit.platform.control.addresses import repository_name
from fnkit.platform.control.context import ControlContext, retry_until_written
from fnkit.platform.control.images.layer import EntryKind, LayerEntry, directory_entries, measure_layer, write_layer
from fnkit.platform.control.images.layer_store import LayerStore
from fnkit.platform.control.images.worker_layer import USER_ID, worker_entries
from fnkit.platform.model.images import BaseImage, ImageLayer, ImageRecord
from fnkit.platform.model.records import Deployment, FunctionRecord, NamespaceRecord

DEPENDENCIES: Final = {"Python": "package", "Node": "node_modules", "PHP": "vendor"}
"""Language → the directory of the code with a layer of its own, because it changes less often than the rest."""
KEPT_AFTER_DELETION_SECONDS: Final = 24 * 3600
"""Seconds of platform time for which the images of a deleted function can still be pulled."""
KEPT_VERSIONS: Final = 50
"""Images of one function that are kept: the newest."""
_PARENTS: Final = tuple(
    LayerEntry(path=path.removeprefix("/"), kind=EntryKind.DIRECTORY, owner=USER_ID)
    for path in (HOME_DIRECTORY, CODE_DIRECTORY)
)
"""Directories above the code. Each layer has them, because a layer also sets the owners of those that exist."""
_NANOSECONDS_PER_SECOND: Final = 10**9


@dataclass(frozen=True, slots=True)
class BuiltLayers:
    """The directories that a deployment was built into.

    Attributes:
        code: What becomes ``/home/app/function``.
        language: The language of the function.
        dependencies: The path below it that has a layer of its own; empty for none.
    """

    code: Path
    language: str
    dependencies: str

    def dependency_entries(self) -> Iterable[LayerEntry]:
        """Yield the entries of the layer with the dependencies; none if there are no dependencies."""
        directory = self.code / self.dependencies
        if not self.dependencies or not directory.is_dir() or directory.is_symlink():
            return
        yield from _PARENTS
        yield from directory_entries(directory, f"{_PARENTS[-1].path}/{self.dependencies}", USER_ID)

    def code_entries(self) -> Iterable[LayerEntry]:
        """Yield the entries of the layer with everything else."""
        yield from _PARENTS
        path = _PARENTS[-1].path
        left_out = f"{path}/{self.dependencies}"
        for entry in directory_entries(self.code, path, USER_ID):
            if not self.dependencies or (entry.path != left_out and not entry.path.startswith(left_out + "/")):
                yield entry


class _FunctionLayers(NamedTuple):
    worker: ImageLayer
    dependencies: ImageLayer | None
    code: ImageLayer


class Images:
    """The images of all functions.

    Args:
        context: Shared dependencies.
        store: The layers.
    """

    def __init__(self, context: ControlContext, store: LayerStore) -> None:
        self._context = context
        self._store = store
        self._known: dict[str, ImageLayer] = {}  # by diff_id: layers that some image contains
        self._uses: Counter[str] = Counter()  # by digest: how many images contain the layer
        self._workers: dict[str, ImageLayer] = {}  # by language
        self._publishing = asyncio.Lock()  # one at a time: it is work for one processor, beside requests

    @property
    def layers(self) -> LayerStore:
        """The layers."""
        return self._store

    def load(self) -> None:
        """Read the stored images, forget those whose layers are missing, and remove layers that none contains.

        Layers are missing after a restore: backups do not contain them.
        """
        self._known.clear()
        self._uses.clear()
        sizes = self._store.sizes()
        incomplete = []
        for record in self._context.store.images.all():
            if all(sizes.get(layer.digest) == layer.size for layer in _all_layers(record)):
                self._count(record)
            else:
                incomplete.append(record.id)
        if incomplete:
            with self._context.store.transaction():
                for record_id in incomplete:
                    self._context.store.images.delete(record_id)
        for digest in sizes.keys() - self._uses.keys():
            self._store.remove(digest)

    def find(self, function_id: str, version: int) -> ImageRecord | None:
        """Return the image of a deployment, ``None`` if there is none or one of its layers is missing."""
        for image in self._context.store.images.all(function_id=function_id, version=version):
            if all(self._store.has(layer) for layer in _all_layers(image)):
                return image
        return None

    async def publish(
        self,
        namespace: NamespaceRecord,
        record: FunctionRecord,
        deployment: Deployment,
        base: BaseImage | None = None,
    ) -> ImageRecord:
        """Make the image of a deployment. Nothing changes if the deployment has this image already.

        Args:
            namespace: The function's namespace.
            record: The function.
            deployment: Its directory becomes the layers, its generation the tag.
            base: What lies below, whose layers the caller holds; ``None`` to decide when the image is first pulled.

        Raises:
            OSError: A file cannot be read, or a layer cannot be written.
        """
        language = _language_of(deployment)
        built = BuiltLayers(Path(deployment.code), language, DEPENDENCIES.get(language, ""))
        async with self._publishing:
            layers = await self._write_layers(built, self._earlier_dependencies(record.id, deployment))
            image = self._make_record(namespace, record, deployment, layers)
            return await retry_until_written(partial(self._store_record, msgspec.structs.replace(image, base=base)))

    def _earlier_dependencies(self, function_id: str, deployment: Deployment) -> ImageLayer | None:
        """Return the layer with the dependencies of this deployment, if an earlier one had the same."""
        if not deployment.dependency_key:
            return None
        for image in self._context.store.images.all(function_id=function_id):
            if image.dependency_key == deployment.dependency_key:
                return image.dependencies
        return None

    async def _write_layers(self, built: BuiltLayers, dependencies: ImageLayer | None) -> _FunctionLayers:
        while True:
            layers = await self._write_in_thread(built, dependencies)
            # The last other image with one of them may have been removed meanwhile.
            if all(self._store.has(layer) for layer in layers if layer is not None):
                return layers
            dependencies = None

    async def _write_in_thread(self, built: BuiltLayers, dependencies: ImageLayer | None) -> _FunctionLayers:
        writing = asyncio.ensure_future(asyncio.to_thread(self._write_new_layers, built, dependencies))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            with suppress(OSError):
                for layer in await writing:
                    if layer is not None and layer.digest not in self._uses:
                        self._store.remove(layer.digest)
            raise

    def _write_new_layers(self, built: BuiltLayers, dependencies: ImageLayer | None) -> _FunctionLayers:
        if dependencies is None and (entries := list(built.dependency_entries())):
            dependencies = self._write_layer(entries)
        worker = self._workers.get(built.language)
        if worker is None or not self._store.has(worker):
            worker = self._workers[built.language] = self._write_layer(list(worker_entries(built.language)))
        return _FunctionLayers(worker, dependencies, self._write_layer(list(built.code_entries())))

    def _write_layer(self, entries: list[LayerEntry]) -> ImageLayer:
        """Store a layer unless there is one with this content."""
        known = self._known.get(measure_layer(entries))
        if known is not None and self._store.has(known):
            return known
        return self._store.add(partial(write_layer, entries))

    def _make_record(
        self, namespace: NamespaceRecord, record: FunctionRecord, deployment: Deployment, layers: _FunctionLayers
    ) -> ImageRecord:
        settings = deployment.settings
        language = _language_of(deployment)
        spec = EnvironmentSpec(
            function_id=record.id,
            name=record.name,
            namespace_id=namespace.id,
            handler=settings.handler,
            language=language,
            memory=settings.memory,
            privacy=settings.privacy,
            variables=namespace.environment | settings.environment,
        )
        environment = instance_environment(spec, home=HOME_DIRECTORY, root=CODE_DIRECTORY, user=USER_NAME)
        return ImageRecord(
            id=str(uuid.uuid4()),
            region=record.region,
            project_id=record.project_id,
            created_at=self._context.clock.now_ns(),
            function_id=record.id,
            repository=repository_name(namespace.label, record.name),
            version=deployment.generation,
            runtime=settings.runtime,
            interpreter=deployment.interpreter,
            worker=layers.worker,
            dependencies=layers.dependencies,
            dependency_key=deployment.dependency_key,
            code=layers.code,
            environment={
                **environment,
                "FNKIT_LANGUAGE": language,
                "FNKIT_TIMEOUT_SECONDS": f"{settings.timeout_seconds:g}",
            },
        )

    def _store_record(self, image: ImageRecord) -> ImageRecord:
        """Store an image, in place of those that its function must not have any more, and return it."""
        store = self._context.store
        with store.transaction():
            # The function may have been deleted meanwhile.
            function = store.functions.get(image.function_id)
            serving = function.serving.generation if function is not None and function.serving is not None else None
            replaced = []
            for old in store.images.all(repository=image.repository):
                # A deleted function of this name may have left its images.
                is_same_function = old.function_id == image.function_id
                if is_same_function and old.version == image.version and _is_same(old, image):
                    return old  # with its digest, by which instances may have been started
                is_too_old = old.version <= image.version - KEPT_VERSIONS and old.version != serving
                if not is_same_function or old.version == image.version or is_too_old:
                    replaced.append(old)
            for old in replaced:
                store.images.delete(old.id)
            image = msgspec.structs.replace(image, expires_at=self._expiry() if function is None else None)
            store.images.insert(image)
        self._count(image)
        self._release(replaced)
        return image

    def remove(self, function_id: str, version: int) -> None:
        """Remove the image of a deployment that does not serve, if there is one."""
        images = list(self._context.store.images.all(function_id=function_id, version=version))
        with self._context.store.transaction():
            for image in images:
                self._context.store.images.delete(image.id)
        self._release(images)

    def keep_until_expiry(self, function_id: str) -> None:
        """Let the images of a deleted function expire. Call this in a transaction."""
        store = self._context.store
        for image in store.images.all(function_id=function_id):
            store.images.update(msgspec.structs.replace(image, expires_at=self._expiry()))

    async def run_expiry(self) -> None:
        """Remove expired images. Never returns."""
        while True:
            await retry_until_written(self.expire)
            first = self._context.store.next_image_expiry()
            await self._context.clock.wait_until(None if first is None else first / _NANOSECONDS_PER_SECOND)

    def expire(self) -> None:
        """Remove the images that have expired."""
        store = self._context.store
        expired = store.expired_images(self._context.clock.now_ns())
        if not expired:
            return
        with store.transaction():
            for image in expired:
                store.images.delete(image.id)
        self._release(expired)

    def set_base(self, image_id: str, base: BaseImage) -> None:
        """Store what lies below the layers of an image, unless that is known already."""
        images = self._context.store.images
        with self._context.store.transaction():
            current = images.get(image_id)
            if current is None or current.base is not None:
                return
            images.update(msgspec.structs.replace(current, base=base))
        added = {layer.digest for layer in base.layers} - {layer.digest for layer in current.layers}
        self._uses.update(added)

    @contextmanager
    def holding(self, layers: Iterable[ImageLayer]) -> Iterator[None]:
        """Keep layers of a base stored while an image with them is being made. They outlive a failure."""
        digests = {layer.digest for layer in layers}
        self._uses.update(digests)
        try:
            yield
        finally:
            self._uses.subtract(digests)
            for digest in digests:
                if self._uses[digest] <= 0:
                    del self._uses[digest]

    def _expiry(self) -> int:
        return self._context.clock.now_ns() + KEPT_AFTER_DELETION_SECONDS * _NANOSECONDS_PER_SECOND

    def _count(self, image: ImageRecord) -> None:
        for layer in _all_layers(image):
            self._uses[layer.digest] += 1
            self._known[layer.diff_id] = layer

    def _release(self, images: Iterable[ImageRecord]) -> None:
        """Remove the layers that no image contains any more, after the removal of these images."""
        for image in images:
            for layer in _all_layers(image):
                self._uses[layer.digest] -= 1
                if self._uses[layer.digest] <= 0:
                    del self._uses[layer.digest]
                    self._known.pop(layer.diff_id, None)
                    self._store.remove(layer.digest)


def _language_of(deployment: Deployment) -> str:
    runtime = find_runtime(deployment.settings.runtime)
    return runtime.language if runtime else ""


def _is_same(old: ImageRecord, image: ImageRecord) -> bool:
    """Return whether a stored image of a deployment has the content of a new one. A base may become known later."""
    base = image.base if image.base is not None else old.base
    return old == msgspec.structs.replace(
        image, id=old.id, created_at=old.created_at, expires_at=old.expires_at, base=base
    )


def _all_layers(image: ImageRecord) -> tuple[ImageLayer, ...]:
    """Return the layers of an image, each once."""
    layers = (*image.layers, *(image.base.layers if image.base is not None else ()))
    return tuple({layer.digest: layer for layer in layers}.values())
