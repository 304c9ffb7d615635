"""What the instances of deployments run: directories of this machine, or images that a cluster pulls.

The platform's engine decides which, once, when control starts (``choose_programs``).
"""

from __future__ import annotations

import logging
import sqlite3
from typing import Final, Protocol

from fnkit.contract.runtimes import find_runtime
from fnkit.errors import PlatformError
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.data_plane_link import DataPlaneLink
from fnkit.platform.control.images.bases import Bases
from fnkit.platform.control.images.images import Images
from fnkit.platform.control.images.manifest import ManifestForm, make_documents
from fnkit.platform.model.images import BaseImage, ImageRecord
from fnkit.platform.model.records import Deployment, FunctionRecord, NamespaceRecord
from fnkit.platform.model.routing import ImageProgram, LocalProgram

_logger: Final = logging.getLogger(__name__)


class Programs(Protocol):
    """What instances run, and when the images of deployments are made."""

    def prestart(self, record: FunctionRecord, interpreter: str) -> None:
        """Let the data plane prepare for a deployment in progress, if it can.

        Args:
            record: The function.
            interpreter: Absolute path of the interpreter on this machine.
        """

    def find(self, record: FunctionRecord, deployment: Deployment) -> LocalProgram | ImageProgram | None:
        """Return what a deployment runs, ``None`` if ``make`` has to make it first."""

    async def make(
        self, namespace: NamespaceRecord, record: FunctionRecord, deployment: Deployment
    ) -> LocalProgram | ImageProgram:
        """Make what a deployment that was built runs, before it starts.

        Raises:
            PlatformError: It cannot be made.
        """

    def on_ready(self, namespace: NamespaceRecord, record: FunctionRecord, deployment: Deployment) -> None:
        """Continue after a deployment became the function's serving one."""

    def on_failed(self, record: FunctionRecord, deployment: Deployment) -> None:
        """Undo ``make`` for a deployment that could not be started."""

    async def publish(self, namespace: NamespaceRecord, record: FunctionRecord, deployment: Deployment) -> None:
        """Make the image of a deployment that runs without one."""

    async def publish_missing(self) -> None:
        """Make the images of serving deployments that run without one and have none, except for edited code."""


class LocalPrograms:
    """Instances are processes of this machine. Images are made afterwards, for others who pull them.

    Args:
        context: Shared dependencies.
        link: The link to the data plane.
        images: The images.
    """

    def __init__(self, context: ControlContext, link: DataPlaneLink, images: Images) -> None:
        self._context = context
        self._link = link
        self._images = images

    def prestart(self, record: FunctionRecord, interpreter: str) -> None:
        """Let the data plane start the interpreter; the first start takes longest."""
        settings = record.settings
        runtime = find_runtime(settings.runtime)
        self._link.prestart(runtime.language if runtime else "", interpreter, settings.memory)

    def find(self, record: FunctionRecord, deployment: Deployment) -> LocalProgram:
        """Return the directory and the interpreter of a deployment."""
        return LocalProgram(
            interpreter=deployment.interpreter,
            code_dir=deployment.code,
            uid=record.uid,
            edited=deployment.edited,
            edits_dir=deployment.edits,
        )

    async def make(
        self, _namespace: NamespaceRecord, record: FunctionRecord, deployment: Deployment
    ) -> LocalProgram:
        """Return what ``find`` does: nothing is to be made."""
        return self.find(record, deployment)

    def on_ready(self, namespace: NamespaceRecord, record: FunctionRecord, deployment: Deployment) -> None:
        """Make the image in the background."""
        # Not as a part of this deployment, which a newer one cancels: each that succeeded has an image.
        publishing = self.publish(namespace, record, deployment)
        self._context.tasks.start(publishing, f"image of {record.id}@{record.generation}")

    def on_failed(self, record: FunctionRecord, deployment: Deployment) -> None:
        """Do nothing: there is no image yet."""

    async def publish_missing(self) -> None:
        """Make the images of all serving deployments that have none."""
        store = self._context.store
        for record in list(store.functions.all(serving=1)):
            namespace = store.namespaces.get(record.namespace_id)
            if record.serving is not None and namespace is not None:
                version = record.serving.generation
                if not store.images.count({"function_id": record.id, "version": version}):
                    await self.publish(namespace, record, record.serving)

    async def publish(self, namespace: NamespaceRecord, record: FunctionRecord, deployment: Deployment) -> None:
        """Make the image of a deployment whose files are all in one directory."""
        if deployment.edited:
            return
        try:
            await self._images.publish(namespace, record, deployment)
        except OSError as error:  # the function serves without one
            _logger.warning("No image of %s: %s", record.id, error)


class ImagePrograms:
    """Instances are containers of a cluster, whose nodes pull an image from this platform's registry.

    An image is named by the digest of its manifest: a tag could be reused by a later function of the same name.

    Args:
        context: Shared dependencies. The settings name the host by which the nodes reach the registry.
        images: The images.
        bases: What lies below their layers.
    """

    def __init__(self, context: ControlContext, images: Images, bases: Bases) -> None:
        self._registry_host = context.settings.registry_host
        self._images = images
        self._bases = bases

    def prestart(self, record: FunctionRecord, interpreter: str) -> None:
        """Do nothing: no interpreter of this machine runs the function."""

    def find(self, record: FunctionRecord, deployment: Deployment) -> ImageProgram | None:
        """Return the image of a deployment, ``None`` if it is not complete."""
        image = self._images.find(record.id, deployment.generation)
        return None if image is None or image.base is None else self._program(image, image.base)

    async def make(
        self, namespace: NamespaceRecord, record: FunctionRecord, deployment: Deployment
    ) -> ImageProgram:
        """Make the image of a deployment, with its base.

        Raises:
            PlatformError: ``image-not-made``, or the base cannot be made or copied.
        """
        try:
            base = await self._bases.get(deployment.settings.runtime, deployment.interpreter)
            with self._images.holding(base.layers):
                image = await self._images.publish(namespace, record, deployment, base)
        except (OSError, sqlite3.OperationalError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise PlatformError(
                f"The image of the function could not be made: {reason}.",
                code="image-not-made",
                hint="Check the space of the data directory, then deploy the function again.",
            ) from None
        return self._program(image, base)

    def on_ready(self, namespace: NamespaceRecord, record: FunctionRecord, deployment: Deployment) -> None:
        """Do nothing: the image was made before the start."""

    def on_failed(self, record: FunctionRecord, deployment: Deployment) -> None:
        """Remove the image, if it was made: a version that failed has none."""
        self._images.remove(record.id, deployment.generation)

    async def publish(self, namespace: NamespaceRecord, record: FunctionRecord, deployment: Deployment) -> None:
        """Do nothing: the image was made before the start."""

    async def publish_missing(self) -> None:
        """Do nothing: no deployment serves without an image."""

    def _program(self, image: ImageRecord, base: BaseImage) -> ImageProgram:
        digest = make_documents(image, base).manifests[ManifestForm.OCI].digest
        return ImageProgram(image=f"{self._registry_host}/{image.repository}@sha256:{digest}")


def choose_programs(context: ControlContext, link: DataPlaneLink, images: Images, bases: Bases) -> Programs:
    """Return what instances run with the engine of the settings."""
    if context.settings.engine == "kubernetes":
        return ImagePrograms(context, images, bases)
    return LocalPrograms(context, link, images)
