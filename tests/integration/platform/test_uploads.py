"""Archives are uploaded and downloaded through signed URLs."""

from __future__ import annotations

import hashlib
import http.client
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.control_process import API, ControlProcess, zip_archive

LIMIT = 100 * 1024 * 1024


@pytest.fixture(scope="module")
def namespace(control: ControlProcess) -> dict[str, object]:
    return control.create_namespace(f"uploads-{uuid.uuid4().hex[:6]}")


@pytest.fixture
def function(control: ControlProcess, namespace: dict[str, object]) -> dict[str, object]:
    return control.create_function(namespace["id"], f"f-{uuid.uuid4().hex[:8]}")


def signed_upload_url(
    control: ControlProcess, function: dict[str, object], size: int
) -> tuple[str, dict[str, str]]:
    response = control.request(
        "GET", f"{API}/functions/{function['id']}/upload-url", query={"content_length": size}
    ).ok()
    url, headers = str(response["url"]), response["headers"]
    assert isinstance(headers, dict)
    split = urlsplit(url)
    assert split.netloc == f"127.0.0.1:{control.settings.api_port}"
    assert split.path == f"/uploads/function-{function['id']}.zip"
    return f"{split.path}?{split.query}", {name: values[0] for name, values in headers.items()}


def test_downloaded_archive_equals_the_uploaded_one(control: ControlProcess, function: dict[str, object]) -> None:
    content = zip_archive()
    target, headers = signed_upload_url(control, function, len(content))
    assert headers == {"content-length": str(len(content)), "content-type": "application/octet-stream"}

    # Terraform also sends its token, and the Serverless Framework a ``content_length`` header.
    put = control.request("PUT", target, content, headers={**headers, "content_length": "780"})
    url = str(control.request("GET", f"{API}/functions/{function['id']}/download-url").ok()["url"])
    split = urlsplit(url)
    got = control.request("GET", f"{split.path}?{split.query}", headers={"X-Auth-Token": ""})

    assert (put.status, put.body) == (200, b"")
    assert put.headers["etag"] == f'"{hashlib.md5(content).hexdigest()}"'  # noqa: S324 - what S3 shows
    assert (got.status, got.body) == (200, content)


def test_upload_url_is_reusable_and_last_upload_wins(control: ControlProcess, function: dict[str, object]) -> None:
    first, second = (zip_archive({"handler.py": f"# {n}\n"}) for n in "12")
    target, _ = signed_upload_url(control, function, len(first))
    assert len(first) == len(second)
    for content in (first, second):
        assert control.request("PUT", target, content).status == 200

    blobs = Path(control.settings.data_dir, "blobs")
    assert (blobs / hashlib.sha256(second).hexdigest()).read_bytes() == second
    assert not (blobs / hashlib.sha256(first).hexdigest()).exists()


@pytest.mark.parametrize("change", ["size=1", "expires=1", "signature=0", "expires=%F0%9F%90%88"])
def test_modified_url_is_rejected(control: ControlProcess, function: dict[str, object], change: str) -> None:
    target, _ = signed_upload_url(control, function, 10)
    path, _, query = target.partition("?")
    name = change.partition("=")[0]
    changed = "&".join(change if part.startswith(f"{name}=") else part for part in query.split("&"))

    assert control.request("PUT", f"{path}?{changed}", b"x" * 10).status == 403
    assert control.request("PUT", path, b"x" * 10).status == 403
    assert control.request("GET", target).status == 403, "an upload URL does not allow downloads"


@pytest.mark.parametrize("size", [9, 11])
def test_upload_with_wrong_size_is_rejected(
    control: ControlProcess, function: dict[str, object], size: int
) -> None:
    target, _ = signed_upload_url(control, function, 10)

    assert control.request("PUT", target, b"x" * size).status == 400
    assert control.request("GET", f"{API}/functions/{function['id']}/download-url").status == 404


@pytest.mark.parametrize(
    ("size", "status"), [(LIMIT, 200), (LIMIT + 1, 400), (10**40, 400), (0, 400), (-1, 400), ("x", 400), ("", 400)]
)
def test_upload_size_is_limited_to_100_mib(
    control: ControlProcess, function: dict[str, object], size: object, status: int
) -> None:
    response = control.request(
        "GET", f"{API}/functions/{function['id']}/upload-url", query={"content_length": size}
    )

    assert response.status == status
    assert status == 200 or "content_length" in response.message


def test_interrupted_upload_stores_nothing(control: ControlProcess, function: dict[str, object]) -> None:
    target, _ = signed_upload_url(control, function, 1000)
    connection = http.client.HTTPConnection("127.0.0.1", control.settings.api_port, timeout=60)
    connection.putrequest("PUT", target)
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"x" * 500)
    connection.close()

    assert control.request("GET", f"{API}/functions/{function['id']}/download-url").status == 404
    assert control.request("PUT", target, b"x" * 1000).status == 200


@pytest.mark.parametrize("host", ["[", "a b", "x" * 300, "/evil"])
def test_invalid_host_header_is_not_used_in_the_upload_url(
    control: ControlProcess, function: dict[str, object], host: str
) -> None:
    response = control.request(
        "GET", f"{API}/functions/{function['id']}/upload-url", query={"content_length": 1}, headers={"Host": host}
    )

    assert str(response.ok()["url"]).startswith(f"http://127.0.0.1:{control.settings.api_port}/uploads/")
