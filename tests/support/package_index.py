"""A package index on loopback (PEP 503, PEP 658), and wheels to serve from it."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    files: Mapping[str, str | bytes] | None = None,
    tag: str = "py3-none-any",
    requires: tuple[str, ...] = (),
    pure: bool = True,
) -> Path:
    """Write a wheel; without ``files`` it has one module, which contains its version."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {one}\n" for one in requires)
    contents: dict[str, str | bytes] = dict(files or {f"{name}/__init__.py": f"VERSION = {version!r}\n"})
    contents[f"{info}/METADATA"] = metadata
    contents[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: {str(pure).lower()}\nTag: {tag}\n"
    contents[f"{info}/RECORD"] = ""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in contents.items():
            archive.writestr(zipfile.ZipInfo(member, (2024, 5, 6, 7, 8, 10)), content, zipfile.ZIP_DEFLATED)
    return path


def make_source_distribution(folder: Path, name: str, backend: str) -> Path:
    """Write a source distribution whose build backend is this Python source, and return its path."""
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": backend,
    }
    path = folder / f"{name}-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for file, text in files.items():
            member = tarfile.TarInfo(f"{name}-1.0/{file}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def _metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return archive.read(name)


def _link(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    metadata = ""
    if path.suffix == ".whl":
        metadata = f' data-core-metadata="sha256={hashlib.sha256(_metadata(path)).hexdigest()}"'
    return f'<a href="/files/{path.name}#sha256={digest}"{metadata}>{path.name}</a>\n'


class PackageIndex:
    """Serves the wheels of a directory.

    Attributes:
        requests: The requested paths, in order.
        credentials: "user:password", which every request must have; ``None`` for no authentication.
        replaced: Content to send instead of a file, with the hash of the real file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        self.credentials: str | None = None
        self.replaced: dict[str, bytes] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/simple"

    def url_for(self, credentials: str) -> str:
        return self.url.replace("http://", f"http://{credentials}@")

    def downloads(self) -> list[str]:
        return [path for path in self.requests if path.startswith("/files/") and not path.endswith(".metadata")]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, path: str, authorization: str | None) -> tuple[int, str, bytes]:
        if self.credentials is not None:
            expected = "Basic " + base64.b64encode(self.credentials.encode()).decode()
            if authorization != expected:
                return 401, "text/plain", b"unauthorized"
        kind, _, name = path.strip("/").partition("/")
        if kind == "simple":
            return self._page(name.strip("/"))
        file = self.folder / name
        if kind == "files" and name.endswith(".metadata"):
            return 200, "text/plain", _metadata(self.folder / name.removesuffix(".metadata"))
        if kind == "files" and file.is_file():
            return 200, "application/octet-stream", self.replaced.get(name, file.read_bytes())
        return 404, "text/plain", b"not found"

    def _page(self, project: str) -> tuple[int, str, bytes]:
        found = sorted(
            path for path in self.folder.iterdir() if path.name.split("-")[0].lower().replace("_", "-") == project
        )
        if not found:
            return 404, "text/plain", b"no such project"
        links = "".join(map(_link, found))
        return 200, "text/html", f"<!DOCTYPE html><html><body>{links}</body></html>".encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        index = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                index.requests.append(self.path)
                status, kind, body = index._answer(self.path, self.headers.get("Authorization"))
                self.send_response(status)
                if status == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="index"')
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Disable logging."""

        return Handler


@contextmanager
def package_index(folder: Path) -> Iterator[PackageIndex]:
    folder.mkdir(parents=True, exist_ok=True)
    index = PackageIndex(folder)
    index.start()
    try:
        yield index
    finally:
        index.stop()


@contextmanager
def only_package_index(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """Serve an index that uv and pip use instead of all others, with caches of their own in this directory."""
    with package_index(folder / "index") as server:
        for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_INDEX", "UV_INDEX_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("UV_DEFAULT_INDEX", server.url)
        patch.setenv("UV_CACHE_DIR", str(folder / "uv-cache"))
        patch.setenv("PIP_NO_CACHE_DIR", "1")
        patch.setenv("FNKIT_CACHE", str(folder / "cache"))
        yield server
