"""Images for tests, and Debian's docker-registry to push them to."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import requests

from tests.support.ports import free_port, is_listening
from tests.support.scripted_server import ReceivedRequest, ScriptedResponse, ScriptedServer
from tests.support.waiting import wait_until

__all__ = [
    "DOCKER_REGISTRY",
    "Blob",
    "ImageForTests",
    "Registry",
    "digest_of",
    "make_image",
    "name_on",
    "respond_with",
    "running_registry",
]

DOCKER_REGISTRY: Final = shutil.which("docker-registry")
OCI: Final = "application/vnd.oci.image."
INDEX_TYPE: Final = OCI + "index.v1+json"
MANIFEST_TYPE: Final = OCI + "manifest.v1+json"
GZIP_TYPE: Final = OCI + "layer.v1.tar+gzip"
PLAIN_TYPE: Final = OCI + "layer.v1.tar"
ZSTD_TYPE: Final = OCI + "layer.v1.tar+zstd"
DOCKER_MANIFEST_TYPE: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_GZIP_TYPE: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"

_HTPASSWD: Final = "alice:$2y$05$abcdefghijklmnopqrstuuA0vov2GDneHB3.8.cv9UF9g.RdvScIW\n"
"""The password is ``wonderland``."""


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def archive_of(name: str, content: bytes) -> bytes:
    """Return a tar archive with one file."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return output.getvalue()


@dataclass(frozen=True)
class Blob:
    """A blob and its media type."""

    content: bytes
    media_type: str

    @property
    def digest(self) -> str:
        return digest_of(self.content)

    @property
    def descriptor(self) -> dict[str, object]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content)}


@dataclass(frozen=True)
class ImageForTests:
    """An image: its manifest, and everything that it lists."""

    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]
    diff_ids: tuple[str, ...]
    architecture: str = "amd64"

    @property
    def blobs(self) -> tuple[Blob, ...]:
        return (self.config, *self.layers)

    @property
    def descriptor(self) -> dict[str, object]:
        """What an index says about it."""
        platform = {"os": "linux", "architecture": self.architecture}
        return {**self.manifest.descriptor, "platform": platform}


def make_image(
    *,
    layer_types: tuple[str, ...] = (GZIP_TYPE, GZIP_TYPE),
    architecture: str = "amd64",
    environment: list[str] | None = None,
    manifest_type: str = MANIFEST_TYPE,
    changes: Mapping[str, object] | None = None,
) -> ImageForTests:
    """Return an image whose layers have one file each.

    Args:
        layer_types: The media type of each layer.
        architecture: What the configuration says.
        environment: The variables that it sets, as ``NAME=value``.
        manifest_type: The media type of the manifest.
        changes: Keys of the configuration to replace.
    """
    archives = [archive_of(f"file-{number}", f"{architecture} {number}\n".encode() * 1000) for number in range(9)]
    layers, diff_ids = [], []
    for archive, media_type in zip(archives, layer_types, strict=False):
        is_packed = media_type in {GZIP_TYPE, DOCKER_GZIP_TYPE}
        layers.append(Blob(gzip.compress(archive, mtime=0) if is_packed else archive, media_type))
        diff_ids.append(digest_of(archive))
    config: dict[str, object] = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": environment or ["PATH=/opt/bin:/usr/bin", "GREETING=a=b"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        **(changes or {}),
    }
    config_blob = Blob(json.dumps(config).encode(), OCI + "config.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": config_blob.descriptor,
        "layers": [layer.descriptor for layer in layers],
    }
    manifest_blob = Blob(json.dumps(manifest).encode(), manifest_type)
    return ImageForTests(manifest_blob, config_blob, tuple(layers), tuple(diff_ids), architecture)


def make_index(*images: ImageForTests) -> Blob:
    """Return an index, which lists something for an unknown platform too, as builders do."""
    unknown = {**images[0].manifest.descriptor, "platform": {"os": "unknown", "architecture": "unknown"}}
    manifests = [unknown, *(image.descriptor for image in images)]
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
    return Blob(json.dumps(index).encode(), INDEX_TYPE)


def respond_with(image: ImageForTests) -> Callable[[ReceivedRequest, int], ScriptedResponse]:
    """Return what a registry answers that has one image."""
    blobs = {f"/v2/base/blobs/{blob.digest}": blob for blob in image.blobs}
    blobs |= {f"/v2/base/manifests/{name}": image.manifest for name in ("latest", image.manifest.digest)}

    def answer(request: ReceivedRequest, number: int) -> ScriptedResponse:
        del number
        blob = blobs.get(request.path)
        if blob is None:
            return ScriptedResponse(404)
        return ScriptedResponse(200, blob.content, {"Content-Type": blob.media_type})

    return answer


def name_on(server: ScriptedServer) -> str:
    return f"{server.url.partition('://')[2]}/base"


@dataclass(frozen=True)
class Registry:
    """A running docker-registry.

    Attributes:
        host: Host and port, as references name it.
        credentials: A user and a password, if it wants them.
    """

    host: str
    credentials: tuple[str, str] | None = None
    session: requests.Session = field(default_factory=requests.Session, repr=False)

    def push(self, repository: str, tag: str, *images: ImageForTests) -> str:
        """Upload an image, or an index of several, and return its digest."""
        for image in images:
            for blob in image.blobs:
                self._push_blob(repository, blob)
            self._push_manifest(repository, image.manifest.digest, image.manifest)
        top = images[0].manifest if len(images) == 1 else make_index(*images)
        self._push_manifest(repository, tag, top)
        return top.digest

    def _push_blob(self, repository: str, blob: Blob) -> None:
        begun = self._request("POST", f"http://{self.host}/v2/{repository}/blobs/uploads/")
        location = begun.headers["Location"]
        separator = "&" if "?" in location else "?"
        self._request("PUT", f"{location}{separator}digest={blob.digest}", blob.content, "application/octet-stream")

    def _push_manifest(self, repository: str, name: str, manifest: Blob) -> None:
        url = f"http://{self.host}/v2/{repository}/manifests/{name}"
        self._request("PUT", url, manifest.content, manifest.media_type)

    def _request(self, method: str, url: str, body: bytes = b"", media_type: str = "") -> requests.Response:
        headers = {"Content-Type": media_type} if media_type else {}
        response = self.session.request(method, url, data=body, headers=headers, auth=self.credentials, timeout=30)
        assert response.ok, (method, url, response.status_code, response.text)
        return response


@contextmanager
def running_registry(
    folder: Path, *, has_users: bool = False, port: int | None = None, address: str = "127.0.0.1"
) -> Iterator[Registry]:
    """Run a docker-registry that stores in a folder.

    Args:
        folder: Created.
        has_users: Whether it is closed to everybody but ``alice`` with the password ``wonderland``.
        port: Its port; by default any.
        address: Where it listens.
    """
    assert DOCKER_REGISTRY is not None
    folder.mkdir()
    port = port or free_port()
    settings: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": {"addr": f"{address}:{port}"},
    }
    if has_users:
        (folder / "htpasswd").write_text(_HTPASSWD)
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    configuration = folder / "config.yml"
    configuration.write_text(json.dumps(settings))  # JSON is YAML
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([DOCKER_REGISTRY, "serve", configuration], stdout=log, stderr=log)
    try:
        wait_until(lambda: is_listening("127.0.0.1", port), what="docker-registry listens")
        registry = Registry(f"localhost:{port}", ("alice", "wonderland") if has_users else None)
        with registry.session:
            yield registry
    finally:
        process.kill()
        process.wait()
