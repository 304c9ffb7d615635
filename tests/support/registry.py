"""A client of the platform's registry of images, and what an image contains."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

from tests.support.control_process import ControlProcess
from tests.support.http_response import HttpResponse
from tests.support.waiting import DEADLINE, wait_until

__all__ = ["MANIFEST", "RegistryClient", "layer_files"]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def layer_files(layer: bytes) -> dict[str, bytes]:
    """Return the files of a layer by path."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        streams = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        return {name: stream.read() for name, stream in streams.items() if stream is not None}


@dataclass(frozen=True, slots=True)
class RegistryClient:
    """Requests with a secret key, as container tools send them.

    Attributes:
        control: The control process that serves the registry.
        secret_key: The password; empty to send none.
    """

    control: ControlProcess
    secret_key: str

    def request(
        self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> HttpResponse:
        """Send a request to ``/v2/<path>``."""
        token = base64.b64encode(f"nologin:{self.secret_key}".encode()).decode()
        login = {"Authorization": f"Basic {token}"} if self.secret_key else {}
        given = {"X-Auth-Token": "", **login, **(headers or {})}
        return self.control.request(method, f"/v2/{path}", body, headers=given)

    def manifest(self, repository: str, reference: str = "latest") -> dict[str, object]:
        """Return a manifest, after checking its digest."""
        answer = self.request(f"{repository}/manifests/{reference}", headers={"Accept": MANIFEST})
        assert answer.status == 200, answer
        assert answer.headers["Docker-Content-Digest"] == f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        document = json.loads(answer.body)
        assert isinstance(document, dict)
        return document

    def blob(self, repository: str, descriptor: object) -> bytes:
        """Return a blob, after checking its digest and size."""
        assert isinstance(descriptor, dict)
        answer = self.request(f"{repository}/blobs/{descriptor['digest']}")
        assert answer.status == 200, answer
        assert f"sha256:{hashlib.sha256(answer.body).hexdigest()}" == descriptor["digest"]
        assert len(answer.body) == descriptor["size"]
        return answer.body

    def layers(self, repository: str, reference: str = "latest") -> list[bytes]:
        """Return the layers of an image, the lowest first."""
        descriptors = self.manifest(repository, reference)["layers"]
        assert isinstance(descriptors, list)
        return [self.blob(repository, one) for one in descriptors]

    def config(self, repository: str, reference: str = "latest") -> dict[str, object]:
        """Return the configuration of an image."""
        document = json.loads(self.blob(repository, self.manifest(repository, reference)["config"]))
        assert isinstance(document, dict)
        return document

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository; an empty list if there is none."""
        answer = self.request(f"{repository}/tags/list")
        return list(json.loads(answer.body)["tags"]) if answer.status == 200 else []

    def deploy(self, function: Mapping[str, object], archive: bytes, seconds: float = DEADLINE) -> str:
        """Deploy a function and wait until its image has a tag. Return the name of its repository."""
        namespace = self.control.get("namespaces", function["namespace_id"])
        repository = f"{str(namespace['registry_endpoint']).partition('/')[2]}/{function['name']}"
        before = self.tags(repository)
        deployed = self.control.deploy(function["id"], archive, seconds)
        assert deployed["status"] == "ready", deployed
        wait_until(lambda: len(self.tags(repository)) > len(before), what="another tag")
        return repository
