"""What clients may pull: repositories, tags, manifests and blobs, limited to the projects of their API key."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import BinaryIO, Final

from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.images.bases import Bases
from fnkit.platform.control.images.images import Images
from fnkit.platform.control.images.manifest import Document, ImageDocuments, ManifestForm, make_documents
from fnkit.platform.model.images import ImageLayer, ImageRecord

LATEST: Final = "latest"
_CACHED_DOCUMENTS: Final = 256


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A layer that can be sent.

    Attributes:
        layer: The layer.
        stream: Its compressed bytes, open for reading.
    """

    layer: ImageLayer
    stream: BinaryIO


class Registry:
    """The repositories of all projects. Nothing here checks keys; the caller passes the project of the key.

    Args:
        context: Shared dependencies.
        images: The images.
        bases: What lies below their layers.
    """

    def __init__(self, context: ControlContext, images: Images, bases: Bases) -> None:
        self._store = context.store
        self._images = images
        self._bases = bases
        self._documents: OrderedDict[str, ImageDocuments] = OrderedDict()  # by image, the least recently used first

    def repositories(self, project_id: str | None) -> list[str]:
        """Return the names of the repositories of a project, or of all projects, sorted."""
        return self._store.repositories(project_id)

    def tags(self, repository: str, project_id: str | None) -> list[str]:
        """Return the tags of a repository, sorted; an empty list if there is no such repository."""
        versions = [str(image.version) for image in self._find_images(repository, project_id)]
        return sorted([*versions, LATEST]) if versions else []

    async def find_manifest(
        self, repository: str, reference: str, form: ManifestForm, project_id: str | None
    ) -> Document | None:
        """Return a manifest.

        Args:
            repository: The name of the repository.
            reference: A tag, or a digest with its algorithm.
            form: The form for a tag. A digest names a manifest of either form.
            project_id: The only project, or ``None`` for all.

        Returns:
            The manifest, or ``None`` if there is none.

        Raises:
            PlatformError: The base of the image cannot be made.
            OSError: The base of the image cannot be stored.
        """
        images = self._find_images(repository, project_id)
        if not reference.startswith("sha256:"):
            tagged = (
                images[-1:] if reference == LATEST else [one for one in images if str(one.version) == reference]
            )
            return (await self._make_documents(tagged[0])).manifests[form] if tagged else None
        for image in _most_likely_first(images):
            for manifest in (await self._make_documents(image)).manifests.values():
                if reference == f"sha256:{manifest.digest}":
                    return manifest
        return None

    async def find_blob(self, repository: str, digest: str, project_id: str | None) -> StoredBlob | Document | None:
        """Return a layer or a configuration of an image in a repository, or ``None``.

        Args:
            repository: The name of the repository.
            digest: SHA-256, in hex.
            project_id: The only project, or ``None`` for all.

        Raises:
            PlatformError: The base of an image cannot be made.
            OSError: A file cannot be opened.
        """
        for image in _most_likely_first(self._find_images(repository, project_id)):
            documents = await self._make_documents(image)
            if documents.config.digest == digest:
                return documents.config
            for layer in documents.layers:
                if layer.digest == digest:
                    return StoredBlob(layer, await asyncio.to_thread(self._images.layers.open, digest))
        return None

    def _find_images(self, repository: str, project_id: str | None) -> list[ImageRecord]:
        """Return the images of a repository, the oldest version first."""
        images = self._store.images.all(repository=repository)
        return sorted((one for one in images if project_id in (None, one.project_id)), key=lambda one: one.version)

    async def _make_documents(self, image: ImageRecord) -> ImageDocuments:
        known = self._documents.get(image.id)
        if known is not None:
            self._documents.move_to_end(image.id)
            return known
        base = image.base
        if base is None:
            base = await self._bases.get(image.runtime, image.interpreter)
            self._images.set_base(image.id, base)
        documents = self._documents[image.id] = make_documents(image, base)
        if len(self._documents) > _CACHED_DOCUMENTS:
            self._documents.popitem(last=False)
        return documents


def _most_likely_first(images: list[ImageRecord]) -> list[ImageRecord]:
    """Return the newest images first, and those without a base last: making a base can fail."""
    return sorted(images, key=lambda image: (image.base is None, -image.version))
