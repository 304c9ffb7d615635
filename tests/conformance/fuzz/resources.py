"""Resources on the platform under test, so that generated requests get past the 404 for an unknown id."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import requests

from tests.support.control_process import API, zip_archive
from tests.support.platform import PlatformUnderTest

__all__ = ["FuzzResources"]

RUNTIME = f"python{sys.version_info.major}{sys.version_info.minor}"


@dataclass
class FuzzResources:
    """A namespace with a function, and one resource of every other kind, in a separate project.

    ``ids`` maps a parameter of the document, such as ``function_id``, to an id. The archive of the function is
    truncated, so that deploying it never starts an instance.
    """

    platform: PlatformUnderTest
    project: str = field(default_factory=lambda: str(uuid.uuid4()))
    ids: dict[str, str] = field(default_factory=dict)
    session: requests.Session = field(default_factory=requests.Session)

    def __enter__(self) -> Self:
        self.session.trust_env = False
        self.ids["project_id"] = self.project
        for kind in ("namespace", "function", "cron", "domain", "token", "trigger"):
            self.ids[f"{kind}_id"] = self.create(kind)
        self._upload(self.ids["function_id"], zip_archive()[:-1])
        return self

    def __exit__(self, *_: object) -> None:
        self.delete("namespace", self.ids["namespace_id"])
        self.session.close()

    def valid_body(self, operation: str) -> dict[str, object]:
        """Return a body that the operation accepts. Every name is unique."""
        name, function = f"f-{uuid.uuid4().hex[:16]}", self.ids.get("function_id")
        queue = {"queue": "jobs", "mnq_project_id": self.project, "mnq_region": "fr-par"}
        valid: dict[str, dict[str, object]] = {
            "CreateNamespace": {"name": name, "project_id": self.project},
            "CreateFunction": {"name": name, "namespace_id": self.ids.get("namespace_id"), "runtime": RUNTIME},
            "CreateCron": {"function_id": function, "schedule": "0 0 1 1 *"},
            "CreateDomain": {"function_id": function, "hostname": f"{name}.example.com"},
            "CreateToken": {"function_id": function},
            "CreateTrigger": {"function_id": function, "name": name, "scw_sqs_config": queue},
        }
        return valid.get(operation, {})

    def create(self, kind: str) -> str:
        """Create a resource of a kind and return its id."""
        answer = self._request("POST", f"{kind}s", json=self.valid_body(f"Create{kind.title()}"))
        assert answer.status_code == 200, (kind, answer.text)
        return str(answer.json()["id"])

    def delete(self, kind: str, record_id: str) -> None:
        """Delete a resource, which may be deleted already."""
        answer = self._request("DELETE", f"{kind}s/{record_id}")
        assert answer.status_code in (200, 404, 409), (kind, answer.text)

    def _upload(self, function_id: str, content: bytes) -> None:
        url = self._request("GET", f"functions/{function_id}/upload-url", params={"content_length": len(content)})
        assert self.session.put(url.json()["url"], content, timeout=60).status_code == 200

    def _request(self, method: str, path: str, **more: Any) -> requests.Response:
        headers: Mapping[str, str] = {"X-Auth-Token": self.platform.secret_key}
        url = f"{self.platform.api_url}{API}/{path}"
        return self.session.request(method, url, headers=headers, timeout=60, **more)
