"""The base of an image that is pulled from its registry."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest

from fnkit.errors import PlatformError
from fnkit.platform.control.images import pulled_base, registry_client
from fnkit.platform.control.images.layer_store import LayerStore
from fnkit.platform.control.images.pulled_base import pull_base
from fnkit.platform.model.images import BaseImage
from tests.support.certificates import CertificateAuthority
from tests.support.image_registry import (
    DOCKER_GZIP_TYPE,
    DOCKER_MANIFEST_TYPE,
    DOCKER_REGISTRY,
    GZIP_TYPE,
    PLAIN_TYPE,
    ZSTD_TYPE,
    Blob,
    ImageForTests,
    Registry,
    digest_of,
    make_image,
    make_index,
    name_on,
    respond_with,
    running_registry,
)
from tests.support.scripted_server import ReceivedRequest, ScriptedResponse, ScriptedServer, scripted_server

needs_registry = pytest.mark.skipif(
    DOCKER_REGISTRY is None, reason="docker-registry is not installed (apt-get install docker-registry)"
)


@pytest.fixture
def store(tmp_path: Path) -> LayerStore:
    return LayerStore(tmp_path / "layers")


def pull(reference: str, store: LayerStore, docker_config: Path | None = None) -> BaseImage:
    return pull_base(reference, store, architecture="amd64", docker_config=docker_config)


def pull_error(reference: str, store: LayerStore, docker_config: Path | None = None) -> PlatformError:
    with pytest.raises(PlatformError) as raised:
        pull(reference, store, docker_config)
    assert raised.value.hint
    return raised.value


def assert_layers(base: BaseImage, store: LayerStore, image: ImageForTests) -> None:
    """Check that the store has the layers of an image, compressed, in their order."""
    assert [f"sha256:{layer.diff_id}" for layer in base.layers] == list(image.diff_ids)
    for layer in base.layers:
        with store.open(layer.digest) as stored:
            content = stored.read()
        assert hashlib.sha256(content).hexdigest() == layer.digest
        assert len(content) == layer.size
        assert hashlib.sha256(gzip.decompress(content)).hexdigest() == layer.diff_id


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with running_registry(tmp_path_factory.mktemp("registry") / "open") as running:
        yield running


def docker_config(folder: Path, host: str, user: str, password: str) -> Path:
    """Write a file such as ``docker login`` writes."""
    import base64

    file = folder / "config.json"
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    file.write_text(json.dumps({"auths": {"other.example": {}, host: {"auth": auth}}, "credsStore": "desktop"}))
    return file


@needs_registry
class TestRegistry:
    def test_image_is_pulled_by_tag_and_by_digest(self, registry: Registry, store: LayerStore) -> None:
        image = make_image()
        digest = registry.push("team/base", "1", image)
        base = pull(f"{registry.host}/team/base:1", store)
        assert base.interpreter == "python3"
        assert base.architecture == "amd64"
        assert base.environment == {"PATH": "/opt/bin:/usr/bin", "GREETING": "a=b"}
        assert_layers(base, store, image)
        assert [f"sha256:{layer.digest}" for layer in base.layers] == [layer.digest for layer in image.layers]
        assert pull(f"{registry.host}/team/base@{digest}", store) == base

    def test_image_of_this_architecture_is_chosen(self, registry: Registry, store: LayerStore) -> None:
        other, wanted = make_image(architecture="arm64"), make_image(architecture="amd64")
        registry.push("several", "latest", other, wanted)
        assert_layers(pull(f"{registry.host}/several", store), store, wanted)
        arm64 = pull_base(f"{registry.host}/several", store, architecture="arm64")
        assert_layers(arm64, store, other)
        with pytest.raises(PlatformError, match="does not exist for linux/s390x") as raised:
            pull_base(f"{registry.host}/several", store, architecture="s390x")
        assert raised.value.code == "base-image-not-found"

    def test_docker_media_types_and_a_missing_path(self, registry: Registry, store: LayerStore) -> None:
        image = make_image(
            layer_types=(DOCKER_GZIP_TYPE,), manifest_type=DOCKER_MANIFEST_TYPE, environment=["LANG=C.UTF-8"]
        )
        registry.push("docker", "latest", image)
        base = pull(f"{registry.host}/docker", store)
        assert_layers(base, store, image)
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        assert base.environment == {"LANG": "C.UTF-8", "PATH": path}

    def test_uncompressed_layer_is_compressed(self, registry: Registry, store: LayerStore) -> None:
        image = make_image(layer_types=(PLAIN_TYPE, GZIP_TYPE))
        registry.push("plain", "latest", image)
        assert_layers(pull(f"{registry.host}/plain", store), store, image)

    def test_zstd_layer_is_an_error_that_says_so(self, registry: Registry, store: LayerStore) -> None:
        registry.push("zstd", "latest", make_image(layer_types=(GZIP_TYPE, ZSTD_TYPE)))
        error = pull_error(f"{registry.host}/zstd", store)
        assert error.code == "base-image-invalid"
        assert "compressed with zstd" in error.message
        assert store.sizes() == {}

    @pytest.mark.parametrize("name", ["nothing", "known:nothing", "known@sha256:" + "0" * 64])
    def test_missing_image_is_not_found(self, registry: Registry, store: LayerStore, name: str) -> None:
        registry.push("known", "latest", make_image())
        assert pull_error(f"{registry.host}/{name}", store).code == "base-image-not-found"

    def test_credentials_of_docker_login_are_used(self, store: LayerStore, tmp_path: Path) -> None:
        image = make_image()
        with running_registry(tmp_path / "closed", has_users=True) as closed:
            closed.push("base", "latest", image)
            name = f"{closed.host}/base"
            assert pull_error(name, store).code == "base-image-denied"
            wrong = pull_error(name, store, docker_config(tmp_path, closed.host, "alice", "looking-glass"))
            assert wrong.code == "base-image-denied"
            assert "looking-glass" not in f"{wrong.message}{wrong.hint}"
            right = docker_config(tmp_path, f"https://{closed.host}/v1/", "alice", "wonderland")
            assert_layers(pull(name, store, right), store, image)


def with_manifest(image: ImageForTests, **changes: object) -> ImageForTests:
    """Return the image with another manifest, which has these keys."""
    manifest = {**json.loads(image.manifest.content), **changes}
    return replace(image, manifest=Blob(json.dumps(manifest).encode(), image.manifest.media_type))


def with_layer_content(image: ImageForTests, content: bytes) -> ImageForTests:
    """Return the image with another first layer, whose digest is right, and whose configuration is not."""
    layers = (Blob(content, image.layers[0].media_type), *image.layers[1:])
    return with_manifest(replace(image, layers=layers), layers=[layer.descriptor for layer in layers])


DEEP = b'{"manifests":' + b"[" * 500_000

HOSTILE: dict[str, tuple[Callable[[ImageForTests], ImageForTests], str]] = {
    "manifest-nested-deeply": (lambda one: replace(one, manifest=Blob(DEEP, "")), "its manifest cannot be read"),
    "manifest-not-utf-8": (
        lambda one: replace(one, manifest=Blob(b'{"config": "\xff"}', "")), "its manifest cannot be read"
    ),
    "manifest-too-large": (
        lambda one: replace(one, manifest=Blob(b" " * (4 * 1024 * 1024 + 1), "")), "a document of more than 4 MiB"
    ),
    "manifest-of-wrong-types": (lambda one: with_manifest(one, layers={"a": 1}), "its manifest cannot be read"),
    "manifest-without-layers": (lambda one: with_manifest(one, layers=[]), "not that of a container image"),
    "manifest-and-index-at-once": (
        lambda one: with_manifest(one, manifests=[one.descriptor]), "an index and an image at once"
    ),
    "index-of-indexes": (
        lambda one: replace(one, manifest=make_index(replace(one, manifest=make_index(one)))), "does not exist"
    ),
    "negative-size": (
        lambda one: with_manifest(one, layers=[{**one.layers[0].descriptor, "size": -1}] * 2), "other than SHA-256"
    ),
    "huge-number": (
        lambda one: with_manifest(one, layers=[{**one.layers[0].descriptor, "size": 10**30}] * 2), "than 10 GiB"
    ),
    "path-as-digest": (
        lambda one: with_manifest(one, layers=[{**one.layers[0].descriptor, "digest": "sha256:../../../etc"}]),
        "other than SHA-256",
    ),
    "path-as-configuration": (
        lambda one: with_manifest(one, config={**one.config.descriptor, "digest": "../manifests/x"}),
        "other than SHA-256",
    ),
    "configuration-too-large": (
        lambda one: with_manifest(one, config={**one.config.descriptor, "size": 5 << 20}), "larger than 4 MiB"
    ),
    "configuration-larger-than-declared": (
        lambda one: with_manifest(one, config={**one.config.descriptor, "size": 10}), "than the manifest says"
    ),
    "layers-too-large": (
        lambda one: with_manifest(one, layers=[{**one.layers[0].descriptor, "size": 6 << 30}] * 2), "than 10 GiB"
    ),
    "layer-larger-than-declared": (
        lambda one: with_manifest(
            one, layers=[{**layer.descriptor, "size": len(layer.content) - 1} for layer in one.layers]
        ),
        "is larger than the manifest says",
    ),
    "fewer-layers-than-configured": (
        lambda one: with_manifest(one, layers=[one.layers[0].descriptor]), "does not belong to its layers"
    ),
    "layer-with-other-content": (
        lambda one: with_layer_content(one, gzip.compress(b"other")), "does not have its digest"
    ),
    "layer-not-gzip": (lambda one: with_layer_content(one, b"other"), "cannot be unpacked"),
    "uncompressed-layer-with-other-content": (
        lambda _: with_layer_content(make_image(layer_types=(PLAIN_TYPE,)), b"other"), "does not have its digest"
    ),
    "layer-cut-off": (
        lambda one: with_layer_content(one, one.layers[0].content[:-9]), "cannot be unpacked"
    ),
    "layer-of-unknown-type": (
        lambda one: with_manifest(
            one, layers=[{**layer.descriptor, "mediaType": "text/html"} for layer in one.layers]
        ),
        "a layer of an unknown type",
    ),
    "diff-id-of-wrong-form": (
        lambda _: make_image(changes={"rootfs": {"diff_ids": ["../x", "../y"]}}), "other than SHA-256"
    ),
    "configuration-of-wrong-types": (
        lambda _: make_image(changes={"rootfs": [1]}), "configuration cannot be read"
    ),
    "environment-with-nul": (lambda _: make_image(environment=["A=b\0c"]), "invalid environment variable"),
    "other-architecture": (lambda _: make_image(architecture="arm64"), "does not exist for linux/amd64"),
}  # fmt: skip


class TestHostileRegistry:
    @pytest.mark.parametrize("case", HOSTILE)
    def test_image_that_is_not_what_it_says_is_rejected(self, case: str, store: LayerStore) -> None:
        change, reason = HOSTILE[case]
        with scripted_server(respond_with(change(make_image()))) as server:
            error = pull_error(name_on(server), store)
        assert reason in error.message
        assert error.code in {"base-image-invalid", "base-image-not-found"}
        assert store.sizes() == {}

    @pytest.mark.parametrize("what", ["manifest", "configuration", "layer"])
    def test_other_bytes_under_a_digest_are_rejected(self, what: str, store: LayerStore) -> None:
        image = make_image()
        number = {"manifest": 0, "configuration": 1, "layer": 2}[what]
        honest = respond_with(image)

        def answer(request: ReceivedRequest, earlier: int) -> ScriptedResponse:
            response = honest(request, earlier)
            # The fifth byte of a layer is a part of its time, which its content does not depend on.
            changed = response.body[:4] + bytes([response.body[4] ^ 1]) + response.body[5:]
            return replace(response, body=changed) if earlier == number else response

        with scripted_server(answer) as server:
            error = pull_error(f"{name_on(server)}@{image.manifest.digest}", store)
        assert error.code == "base-image-invalid"
        assert store.sizes() == {}

    def test_digest_that_the_registry_states_is_checked(self, store: LayerStore) -> None:
        honest = respond_with(make_image())
        wrong = {"Docker-Content-Digest": "sha256:" + "0" * 64}
        with scripted_server(lambda *args: replace(honest(*args), headers=wrong)) as server:
            assert pull_error(name_on(server), store).code == "base-image-invalid"

    def test_interrupted_pull_goes_on_where_it_stopped(self, store: LayerStore) -> None:
        image = make_image()
        honest = respond_with(image)

        def answer(request: ReceivedRequest, earlier: int) -> ScriptedResponse:
            response = honest(request, earlier)
            return replace(response, sent_bytes=20) if earlier == 3 else response

        with scripted_server(answer) as server:
            error = pull_error(name_on(server), store)
            assert (error.code, "too early" in error.message) == ("base-image-unreachable", True)
            assert_layers(pull(name_on(server), store), store, image)
            fetched = [request.path.rpartition("/")[2] for request in server.requests]
        assert [fetched.count(layer.digest) for layer in image.layers] == [1, 2]

    def test_layer_shorter_than_declared_is_not_stored(self, store: LayerStore) -> None:
        honest = respond_with(make_image())

        def answer(request: ReceivedRequest, earlier: int) -> ScriptedResponse:
            response = honest(request, earlier)
            return replace(response, body=response.body[:-1]) if earlier == 2 else response

        with scripted_server(answer) as server:
            assert pull_error(name_on(server), store).code == "base-image-unreachable"
        assert store.sizes() == {}

    def test_layers_that_become_too_large_are_rejected(
        self, store: LayerStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image = make_image()
        sizes = [len(gzip.decompress(layer.content)) for layer in image.layers]
        with scripted_server(respond_with(image)) as server:
            monkeypatch.setattr(pulled_base, "_MAX_UNPACKED_BYTES", sum(sizes) - 1)
            assert "cannot be unpacked" in pull_error(name_on(server), store).message
            monkeypatch.setattr(pulled_base, "_MAX_UNPACKED_BYTES", sum(sizes))
            assert_layers(pull(name_on(server), store), store, image)

    def test_slow_registry_is_given_up(self, store: LayerStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry_client, "_DOCUMENT_SECONDS", -1.0)
        with scripted_server(respond_with(make_image())) as server:
            error = pull_error(name_on(server), store)
        assert (error.code, "is slower than" in error.message) == ("base-image-unreachable", True)

    def test_damaged_layer_in_the_store_is_fetched_again(self, store: LayerStore, tmp_path: Path) -> None:
        image = make_image()
        with scripted_server(respond_with(image)) as server:
            base = pull(name_on(server), store)
            stored = tmp_path / "layers" / base.layers[0].digest
            stored.write_bytes(b"\0" * base.layers[0].size)
            assert pull(name_on(server), store) == base
        assert_layers(base, store, image)

    def test_layer_of_several_gzip_members_is_accepted(self, store: LayerStore) -> None:
        image = make_image(layer_types=(GZIP_TYPE,))
        archive = gzip.decompress(image.layers[0].content)
        content = gzip.compress(archive[:1000]) + gzip.compress(archive[1000:]) + b"\0" * 512
        several = with_layer_content(image, content)
        with scripted_server(respond_with(several)) as server:
            base = pull(name_on(server), store)
        assert [f"sha256:{layer.diff_id}" for layer in base.layers] == list(image.diff_ids)
        assert base.layers[0].digest == digest_of(content).partition(":")[2]

    @pytest.mark.parametrize(
        ("response", "code", "message"),
        [
            (ScriptedResponse(404), "base-image-not-found", "does not exist"),
            (ScriptedResponse(403), "base-image-denied", "without credentials"),
            (ScriptedResponse(401), "base-image-denied", "without credentials"),
            (ScriptedResponse(401, headers={"WWW-Authenticate": "Basic realm=x"}), "base-image-denied", "without"),
            (ScriptedResponse(401, headers={"WWW-Authenticate": "Digest a=b"}), "base-image-denied", "without"),
            (ScriptedResponse(429), "base-image-unreachable", "limits how often images are pulled"),
            (ScriptedResponse(500), "base-image-unreachable", "answered with status 500"),
            (ScriptedResponse(204), "base-image-unreachable", "answered with status 204"),
            (ScriptedResponse(drop=True), "base-image-unreachable", "cannot be reached"),
            (ScriptedResponse(302), "base-image-invalid", "not a secure URL"),
            (ScriptedResponse(302, headers={"Location": "file:///etc/passwd"}), "base-image-invalid", "secure URL"),
            (ScriptedResponse(302, headers={"Location": "http://[x"}), "base-image-invalid", "secure URL"),
            (ScriptedResponse(307, headers={"Location": "/v2/"}), "base-image-invalid", "more than 5 times"),
            (ScriptedResponse(401, headers={"WWW-Authenticate": 'Bearer realm="http://example.com"'}),
             "base-image-invalid", "not a secure URL"),
            (ScriptedResponse(401, headers={"WWW-Authenticate": 'Bearer realm="file:///etc/passwd"'}),
             "base-image-invalid", "not a secure URL"),
        ],
        ids=[
            "404", "403", "401", "basic", "digest", "429", "500", "204", "dropped", "redirect-to-nothing",
            "redirect-to-a-file", "redirect-to-no-url", "redirects-forever", "token-over-http", "token-from-a-file",
        ],
    )  # fmt: skip
    def test_refusals_are_told_apart(
        self, response: ScriptedResponse, code: str, message: str, store: LayerStore
    ) -> None:
        with scripted_server(lambda *_: response) as server:
            error = pull_error(name_on(server), store)
        assert (error.code, message in error.message) == (code, True), error.message

    def test_body_of_a_redirect_is_not_read(self, store: LayerStore) -> None:
        image = make_image()
        honest = respond_with(image)
        redirect = ScriptedResponse(301, b" " * 1000, {"Location": "/v2/base/manifests/latest?again"}, sent_bytes=1)

        def answer(request: ReceivedRequest, earlier: int) -> ScriptedResponse:
            if request.path == "/v2/base/manifests/latest":
                return redirect
            return honest(replace(request, path=request.path.removesuffix("?again")), earlier)

        with scripted_server(answer) as server:
            assert_layers(pull(name_on(server), store), store, image)

    def test_server_that_is_gone_is_unreachable(self, store: LayerStore) -> None:
        with scripted_server(lambda *_: ScriptedResponse()) as server:
            name = name_on(server)
        error = pull_error(name, store)
        assert (error.code, "cannot be reached" in error.message) == ("base-image-unreachable", True)


Answer: TypeAlias = Callable[[ReceivedRequest, int], ScriptedResponse]
TlsRegistry: TypeAlias = Callable[[Answer], AbstractContextManager[ScriptedServer]]


@pytest.fixture
def tls_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TlsRegistry:
    """Serve HTTPS on an address that does not count as local, with a certificate that is trusted."""
    authority = CertificateAuthority(tmp_path, "authority")
    files = authority.sign("registry", "127.0.0.2")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    return lambda answer: scripted_server(answer, "127.0.0.2", context)


class TestCredentials:
    def test_token_is_requested_for_this_image_alone(self, store: LayerStore, tmp_path: Path) -> None:
        image = make_image()
        honest = respond_with(image)
        challenge = (
            'Bearer realm="{url}/token",service="tests",scope="repository:other:push,pull registry:catalog:*"'
        )

        def answer(request: ReceivedRequest, earlier: int) -> ScriptedResponse:
            if request.path.startswith("/token?"):
                return ScriptedResponse(body=b'{"access_token": "open-sesame"}')
            if request.headers.get("Authorization") != "Bearer open-sesame":
                return ScriptedResponse(401, headers={"WWW-Authenticate": challenge.format(url=server.url)})
            return honest(request, earlier)

        with scripted_server(answer) as server:
            config = docker_config(tmp_path, server.url, "alice", "wonderland")
            assert_layers(pull(name_on(server), store, config), store, image)
            asked = [request for request in server.requests if request.path.startswith("/token?")]
        assert [request.path for request in asked] == ["/token?scope=repository%3Abase%3Apull&service=tests"]
        assert [request.headers["Authorization"] for request in asked] == ["Basic YWxpY2U6d29uZGVybGFuZA=="]

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (ScriptedResponse(body=b"{}"), "base-image-invalid"),
            (ScriptedResponse(body=b"[" * 100_000), "base-image-invalid"),
            (ScriptedResponse(body=b'{"token": "a\\r\\nb"}'), "base-image-invalid"),
            (ScriptedResponse(body=b'{"token": 7}'), "base-image-invalid"),
            (ScriptedResponse(body=b" " * (1 << 20) + b"{}"), "base-image-invalid"),
            (ScriptedResponse(401), "base-image-denied"),
            (ScriptedResponse(302, headers={"Location": "/elsewhere"}), "base-image-unreachable"),
            (ScriptedResponse(body=b'{"token": "useless"}'), "base-image-denied"),
        ],
        ids=["missing", "deep", "line-break", "number", "large", "denied", "redirected", "not-accepted"],
    )
    def test_useless_token_is_an_error(self, body: ScriptedResponse, code: str, store: LayerStore) -> None:
        def answer(request: ReceivedRequest, earlier: int) -> ScriptedResponse:
            del earlier
            if request.path.startswith("/token"):
                return body
            return ScriptedResponse(401, headers={"WWW-Authenticate": f'Bearer realm="{server.url}/token"'})

        with scripted_server(answer) as server:
            assert pull_error(name_on(server), store).code == code
            assert len(server.requests) <= 3

    def test_other_hosts_get_no_credentials(self, store: LayerStore, tmp_path: Path) -> None:
        image = make_image()
        honest = respond_with(image)

        def redirect(request: ReceivedRequest, earlier: int) -> ScriptedResponse:
            if "Authorization" not in request.headers:
                return ScriptedResponse(401, headers={"WWW-Authenticate": "Basic realm=tests"})
            if "/blobs/" in request.path:
                return ScriptedResponse(307, headers={"Location": f"{other.url}{request.path}?signature=secret"})
            return honest(request, earlier)

        def serve(request: ReceivedRequest, earlier: int) -> ScriptedResponse:
            return honest(replace(request, path=request.path.partition("?")[0]), earlier)

        with scripted_server(serve) as other, scripted_server(redirect) as server:
            config = docker_config(tmp_path, server.url, "alice", "wonderland")
            assert_layers(pull(name_on(server), store, config), store, image)
            assert len(other.requests) == 3
            assert [one for one in other.requests if "Authorization" in one.headers] == []

    def test_host_of_a_redirect_cannot_ask_for_credentials(self, store: LayerStore, tmp_path: Path) -> None:
        challenge = ScriptedResponse(401, headers={"WWW-Authenticate": "Basic realm=tests"})
        with scripted_server(lambda *_: challenge) as other:
            location = {"Location": f"{other.url}/v2/base/manifests/latest?signature=secret"}
            with scripted_server(lambda *_: ScriptedResponse(302, headers=location)) as server:
                config = docker_config(tmp_path, server.url, "alice", "wonderland")
                error = pull_error(name_on(server), store, config)
            assert error.code == "base-image-denied"
            assert re.search("wonderland|YWxpY2U6|secret", f"{error.message}{error.hint}") is None
            assert len(other.requests) == 1

    def test_netrc_is_not_read(self, store: LayerStore, tls_registry: TlsRegistry, own_home: Path) -> None:
        (own_home / ".netrc").write_text("default login alice password wonderland\n")
        image = make_image()
        with tls_registry(respond_with(image)) as server:
            pull(name_on(server), store)
            assert [one for one in server.requests if "Authorization" in one.headers] == []

    def test_redirect_away_from_https_is_not_followed(self, store: LayerStore, tls_registry: TlsRegistry) -> None:
        image = make_image()
        with scripted_server(respond_with(image)) as other:
            location = {"Location": f"{other.url}/v2/base/manifests/latest"}
            with tls_registry(lambda *_: ScriptedResponse(302, headers=location)) as server:
                error = pull_error(name_on(server), store)
            assert (error.code, "not a secure URL" in error.message) == ("base-image-invalid", True)
            assert other.requests == []

    def test_token_is_not_requested_over_http(self, store: LayerStore, tls_registry: TlsRegistry) -> None:
        with scripted_server(lambda *_: ScriptedResponse(body=b'{"token": "x"}')) as other:
            challenge = {"WWW-Authenticate": f'Bearer realm="{other.url}/token"'}
            with tls_registry(lambda *_: ScriptedResponse(401, headers=challenge)) as server:
                assert pull_error(name_on(server), store).code == "base-image-invalid"
            assert other.requests == []

    def test_image_is_pulled_over_https(self, store: LayerStore, tls_registry: TlsRegistry) -> None:
        image = make_image()
        with tls_registry(respond_with(image)) as server:
            assert server.url.startswith("https://")
            assert_layers(pull(name_on(server), store), store, image)

    def test_unknown_authority_is_not_trusted(
        self, store: LayerStore, tls_registry: TlsRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        with tls_registry(respond_with(make_image())) as server:
            error = pull_error(name_on(server), store)
            assert server.requests == []
        assert (error.code, "no certificate that this machine trusts" in error.message) == (
            "base-image-unreachable",
            True,
        )

    @pytest.mark.parametrize("content", ["", "[]", '{"auths": {"x": []}}', '{"auths": 3}', "[" * 100_000])
    def test_unreadable_docker_configuration_means_no_credentials(
        self, content: str, store: LayerStore, tmp_path: Path
    ) -> None:
        config = tmp_path / "config.json"
        config.write_text(content)
        image = make_image()
        with scripted_server(respond_with(image)) as server:
            assert_layers(pull(name_on(server), store, config), store, image)
