"""A base image that the user names, copied from its registry once.

The image is what its manifest says: each document and each layer is checked against the digest under which it is
listed while it arrives, and each layer, unpacked, against the digest in the configuration. Layers that are stored
already are not fetched again, so an interrupted pull goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import msgspec

from fnkit.errors import PlatformError
from fnkit.platform.control.images.docker_credentials import read_credentials
from fnkit.platform.control.images.image_reference import DIGEST, ImageReference, invalid_image, parse_reference
from fnkit.platform.control.images.layer import GZIP_WINDOW, CompressedOutput
from fnkit.platform.control.images.layer_store import LayerStore
from fnkit.platform.control.images.registry_client import RegistryClient
from fnkit.platform.model.images import BaseImage, ImageLayer

_MAX_DOCUMENT_BYTES: Final = 4 * 1024 * 1024
_MAX_LAYERS_BYTES: Final = 10 * 1024**3
_MAX_UNPACKED_BYTES: Final = 40 * 1024**3
_MAX_LAYERS: Final = 127  # as many as docker can stack
_CHUNK_BYTES: Final = 256 * 1024

_MANIFESTS: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_GZIP_LAYERS: Final = frozenset({
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
})  # fmt: skip
_PLAIN_LAYERS: Final = frozenset({
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
})  # fmt: skip
_ZSTD_LAYERS: Final = frozenset({
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
})  # fmt: skip

_Document = TypeVar("_Document")

_INTERPRETER: Final = "python3"
_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class _Platform(msgspec.Struct, frozen=True):
    os: str = ""
    architecture: str = ""
    variant: str = ""


class _Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    digest: str
    size: int
    media_type: str = ""
    platform: _Platform | None = None


class _Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """A manifest, or an index of manifests."""

    manifests: list[_Descriptor] | None = None
    config: _Descriptor | None = None
    layers: list[_Descriptor] | None = None


class _RootFilesystem(msgspec.Struct, frozen=True):
    diff_ids: list[str] = []


class _ContainerConfig(msgspec.Struct, frozen=True):
    environment: list[str] | None = msgspec.field(default=None, name="Env")


class _ImageConfig(msgspec.Struct, frozen=True):
    architecture: str
    os: str
    rootfs: _RootFilesystem
    config: _ContainerConfig | None = None


def pull_base(
    reference: str, store: LayerStore, *, architecture: str, docker_config: Path | None = None
) -> BaseImage:
    """Copy the layers of an image from its registry. Blocks; call it in a thread.

    Args:
        reference: The image, as docker names it.
        store: Receives the layers that it does not have.
        architecture: As Go names it; an image for several architectures has others too.
        docker_config: The file with credentials; ``None`` for ``~/.docker/config.json``.

    Raises:
        PlatformError: ``base-image-not-found``, ``base-image-denied``, ``base-image-invalid`` or
            ``base-image-unreachable``.
        OSError: A layer cannot be stored.
    """
    image = parse_reference(reference)
    credentials = read_credentials(image, docker_config or Path.home() / ".docker/config.json")
    with RegistryClient(image, credentials) as client:
        return _Pull(image, client, store, architecture).run()


class _Pull:
    """One pull of one image."""

    def __init__(self, image: ImageReference, client: RegistryClient, store: LayerStore, architecture: str) -> None:
        self._image = image
        self._client = client
        self._store = store
        self._architecture = architecture
        self._unpacked_bytes = 0

    def run(self) -> BaseImage:
        config_descriptor, descriptors = self._read_manifest()
        config = self._read_config(config_descriptor)
        environment = self._environment(config)
        diff_ids = self._check_layers(descriptors, config)
        pairs = zip(descriptors, diff_ids, strict=True)
        return BaseImage(
            interpreter=_INTERPRETER,
            layers=tuple(self._provide_layer(descriptor, diff_id) for descriptor, diff_id in pairs),
            environment=environment,
            architecture=self._architecture,
        )

    def _read_manifest(self) -> tuple[_Descriptor, list[_Descriptor]]:
        """Return the configuration and the layers of the image for the wanted architecture."""
        name = self._image.digest or self._image.tag
        body, stated_digest = self._client.read_manifest(name, _MANIFESTS, _MAX_DOCUMENT_BYTES)
        for digest in (self._image.digest, stated_digest):
            if DIGEST.fullmatch(digest):
                self._check_digest(body, digest)
        manifest = self._decode(body, _Manifest, "manifest")
        if manifest.manifests is not None:
            chosen = self._choose(manifest)
            body, _ = self._client.read_manifest(self._checked(chosen).digest, _MANIFESTS, _MAX_DOCUMENT_BYTES)
            self._check_digest(body, chosen.digest)
            manifest = self._decode(body, _Manifest, "manifest")
        if manifest.manifests is not None or manifest.config is None or not manifest.layers:
            raise self._invalid("its manifest is not that of a container image")
        return self._checked(manifest.config), [self._checked(layer) for layer in manifest.layers]

    def _choose(self, index: _Manifest) -> _Descriptor:
        if index.layers is not None or index.config is not None:
            raise self._invalid("its manifest is an index and an image at once")
        known = [(one, one.platform) for one in index.manifests or () if one.platform is not None]
        fitting = [
            (one, platform)
            for one, platform in known
            if (platform.os, platform.architecture) == ("linux", self._architecture)
        ]
        if not fitting:
            raise self._not_available()
        # Without a variant, an image runs on all machines of its architecture.
        return min(fitting, key=lambda pair: pair[1].variant != "")[0]

    def _read_config(self, descriptor: _Descriptor) -> _ImageConfig:
        if descriptor.size > _MAX_DOCUMENT_BYTES:
            raise self._invalid("its configuration is larger than 4 MiB")
        body = b"".join(self._client.read_blob(descriptor.digest, descriptor.size))
        self._check_digest(body, descriptor.digest)
        config = self._decode(body, _ImageConfig, "configuration")
        if (config.os, config.architecture) != ("linux", self._architecture):
            raise self._not_available()
        return config

    def _check_layers(self, descriptors: list[_Descriptor], config: _ImageConfig) -> list[str]:
        """Check what can be checked before anything is fetched, and return the digests of the unpacked layers."""
        diff_ids = config.rootfs.diff_ids
        if len(descriptors) > _MAX_LAYERS or len(diff_ids) != len(descriptors):
            raise self._invalid("its configuration does not belong to its layers")
        if not all(map(DIGEST.fullmatch, diff_ids)):
            raise self._invalid("it uses digests other than SHA-256")
        if sum(descriptor.size for descriptor in descriptors) > _MAX_LAYERS_BYTES:
            raise self._invalid("its layers are larger than 10 GiB")
        for descriptor in descriptors:
            if descriptor.media_type in _ZSTD_LAYERS:
                raise self._invalid(
                    "its layers are compressed with zstd",
                    hint="Build it with gzip: `docker buildx build --output type=image,compression=gzip …`.",
                )
            if descriptor.media_type not in _GZIP_LAYERS | _PLAIN_LAYERS:
                raise self._invalid("it has a layer of an unknown type")
        return [diff_id.removeprefix("sha256:") for diff_id in diff_ids]

    def _provide_layer(self, descriptor: _Descriptor, diff_id: str) -> ImageLayer:
        digest = descriptor.digest.removeprefix("sha256:")
        layer = ImageLayer(diff_id=diff_id, digest=digest, size=descriptor.size)
        if descriptor.media_type in _PLAIN_LAYERS:
            return self._store.add(partial(self._compress_layer, layer))
        if self._store.has(layer) and self._is_stored(layer):
            return layer
        return self._store.add(partial(self._copy_layer, layer))

    def _is_stored(self, layer: ImageLayer) -> bool:
        """Return whether the stored layer is what its digests say; images may pair them wrongly."""
        try:
            with self._store.open(layer.digest) as stored:
                self._check_pieces(layer, iter(partial(stored.read, _CHUNK_BYTES), b""))
        except (OSError, PlatformError):
            return False
        return True

    def _copy_layer(self, layer: ImageLayer, output: BinaryIO) -> ImageLayer:
        self._check_pieces(layer, self._client.read_blob(f"sha256:{layer.digest}", layer.size), output)
        return layer

    def _check_pieces(self, layer: ImageLayer, pieces: Iterable[bytes], output: BinaryIO | None = None) -> None:
        """Check a layer, packed and unpacked, and write it meanwhile."""
        digest = hashlib.sha256()
        unpacked = _UnpackedDigest(_MAX_UNPACKED_BYTES - self._unpacked_bytes)
        try:
            for piece in pieces:
                digest.update(piece)
                unpacked.update(piece)
                if output is not None:
                    output.write(piece)
            diff_id = unpacked.finish()
        except (zlib.error, ValueError):
            raise self._invalid("it has a layer that cannot be unpacked") from None
        if (digest.hexdigest(), diff_id) != (layer.digest, layer.diff_id):
            raise self._invalid("it has a layer whose content does not have its digest")
        self._unpacked_bytes += unpacked.size

    def _compress_layer(self, layer: ImageLayer, output: BinaryIO) -> ImageLayer:
        compressed = CompressedOutput(output)
        digest = hashlib.sha256()
        for piece in self._client.read_blob(f"sha256:{layer.digest}", layer.size):
            digest.update(piece)
            compressed.write(piece)
        if not digest.hexdigest() == layer.digest == layer.diff_id:
            raise self._invalid("it has a layer whose content does not have its digest")
        return compressed.finish()

    def _environment(self, config: _ImageConfig) -> dict[str, str]:
        variables = (config.config.environment if config.config is not None else None) or []
        if any("\0" in variable for variable in variables):
            raise self._invalid("it sets an invalid environment variable")
        pairs = (variable.partition("=") for variable in variables)
        environment = {name: value for name, _, value in pairs if name}
        return environment if environment.get("PATH") else {**environment, "PATH": _DEFAULT_PATH}

    def _decode(self, body: bytes, kind: type[_Document], what: str) -> _Document:
        try:
            document = msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise self._invalid(f"its {what} cannot be read") from None
        return document

    def _checked(self, descriptor: _Descriptor) -> _Descriptor:
        if not DIGEST.fullmatch(descriptor.digest) or descriptor.size < 0:
            raise self._invalid("it uses digests other than SHA-256")
        return descriptor

    def _check_digest(self, body: bytes, digest: str) -> None:
        if f"sha256:{hashlib.sha256(body).hexdigest()}" != digest:
            raise self._invalid("its manifest or configuration does not have its digest")

    def _not_available(self) -> PlatformError:
        return PlatformError(
            f"The base image {self._image} does not exist for linux/{self._architecture}.",
            code="base-image-not-found",
            hint="Use an image for this architecture, or for several.",
        )

    def _invalid(self, reason: str, *, hint: str = "") -> PlatformError:
        return invalid_image(self._image, reason, hint=hint)


class _UnpackedDigest:
    """Digests the content of gzip-compressed bytes, which may have several members.

    Args:
        max_bytes: The largest content.
    """

    def __init__(self, max_bytes: int) -> None:
        self.size = 0
        self._max_bytes = max_bytes
        self._digest = hashlib.sha256()
        self._decompressor = zlib.decompressobj(GZIP_WINDOW)

    def update(self, data: bytes) -> None:
        """Add compressed bytes.

        Raises:
            zlib.error: They are damaged.
            ValueError: The content is too large.
        """
        while data:
            if self._decompressor.eof:
                data = data.lstrip(b"\0")  # padding
                if not data:
                    return
                self._decompressor = zlib.decompressobj(GZIP_WINDOW)
            content = self._decompressor.decompress(data, _CHUNK_BYTES)
            self.size += len(content)
            if self.size > self._max_bytes:
                raise ValueError("too large")
            self._digest.update(content)
            data = self._decompressor.unconsumed_tail or self._decompressor.unused_data

    def finish(self) -> str:
        """Return the digest, in hex.

        Raises:
            ValueError: The last member is incomplete.
        """
        if not self._decompressor.eof:
            raise ValueError("incomplete")
        return self._digest.hexdigest()
