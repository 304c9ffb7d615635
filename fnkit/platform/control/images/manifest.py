"""The documents of an image: its configuration and its manifest, each named by the digest of its bytes.

They follow the OCI image specification
(https://github.com/opencontainers/image-spec/blob/main/{config,manifest}.md). Clients that do not know it get the
manifest in Docker's form (https://distribution.github.io/distribution/spec/manifest-v2-2/): the same layers and the
same configuration under other media types.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

from fnkit.contract.invocation.environment import HOME_DIRECTORY
from fnkit.platform.control.images.worker_layer import CORE_RUNTIME, USER_ID
from fnkit.platform.control.timestamps import format_microseconds
from fnkit.platform.model.images import BaseImage, ImageLayer, ImageRecord

_PORT: Final = 8080
_HISTORY: Final = "fnkit"
_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ManifestForm(Enum):
    """A form of a manifest, with the media types of the manifest, its configuration and its layers."""

    OCI = (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.oci.image.layer.v1.tar+gzip",
    )
    DOCKER = (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    )

    @property
    def media_type(self) -> str:
        """The media type of the manifest."""
        return self.value[0]


@dataclass(frozen=True, slots=True)
class Document:
    """Bytes and their digest.

    Attributes:
        content: JSON.
        digest: SHA-256, in hex.
        media_type: For example ``application/vnd.oci.image.manifest.v1+json``.
    """

    content: bytes
    digest: str
    media_type: str


@dataclass(frozen=True, slots=True)
class ImageDocuments:
    """The documents of one image.

    Attributes:
        config: The configuration.
        manifests: The manifest in each form.
        layers: All layers, the lowest first.
    """

    config: Document
    manifests: dict[ManifestForm, Document]
    layers: tuple[ImageLayer, ...]


def make_documents(record: ImageRecord, base: BaseImage) -> ImageDocuments:
    """Return the documents of an image on a base."""
    layers = (*base.layers, *record.layers)
    config = _make_config(record, base, layers)
    manifests = {form: _make_manifest(form, config, layers) for form in ManifestForm}
    return ImageDocuments(config, manifests, layers)


def _make_config(record: ImageRecord, base: BaseImage, layers: tuple[ImageLayer, ...]) -> Document:
    environment = {**base.environment, **record.environment}
    if environment["PATH"] == _DEFAULT_PATH:  # the function's variables name no other
        environment["PATH"] = base.environment.get("PATH", _DEFAULT_PATH)
    created = format_microseconds(record.created_at)
    labels = {
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.title": record.repository.rpartition("/")[2],
        "org.opencontainers.image.version": str(record.version),
    }
    config = {
        "architecture": base.architecture,
        "os": "linux",
        "created": created,
        "config": {
            "User": f"{USER_ID}:{USER_ID}",
            "ExposedPorts": {f"{_PORT}/tcp": {}},
            "Env": [f"{name}={value}" for name, value in sorted(environment.items())],
            "Entrypoint": [base.interpreter, "-I", "-S", CORE_RUNTIME],
            "WorkingDir": HOME_DIRECTORY,
            "StopSignal": "SIGTERM",
            "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.diff_id}" for layer in layers]},
        "history": [{"created": created, "created_by": _HISTORY} for _ in layers],
    }
    return _make_document(config, ManifestForm.OCI.value[1])


def _make_manifest(form: ManifestForm, config: Document, layers: tuple[ImageLayer, ...]) -> Document:
    manifest_type, config_type, layer_type = form.value
    manifest = {
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": _describe(config_type, config.digest, len(config.content)),
        "layers": [_describe(layer_type, layer.digest, layer.size) for layer in layers],
    }
    return _make_document(manifest, manifest_type)


def _describe(media_type: str, digest: str, size: int) -> dict[str, object]:
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}


def _make_document(value: object, media_type: str) -> Document:
    content = msgspec.json.encode(value)
    return Document(content, hashlib.sha256(content).hexdigest(), media_type)
