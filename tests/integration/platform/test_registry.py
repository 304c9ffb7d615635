"""The registry of images: what a deployment publishes, and who may pull it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.control_process import API, ControlProcess, running_control, zip_archive
from tests.support.fake_data_plane import connected_data_plane
from tests.support.ports import free_port
from tests.support.registry import MANIFEST, RegistryClient, layer_files
from tests.support.waiting import wait_until

SKOPEO = shutil.which("skopeo")
HANDLER = "def handle(event, context):\n    return 'hello'\n"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DAY = 24 * 3600


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryClient]:
    with (
        running_control(tmp_path_factory.mktemp("r"), speed=0.0) as control,
        connected_data_plane(control.settings.control_socket),
    ):
        yield RegistryClient(control, control.settings.secret_key)


@pytest.fixture
def function(registry: RegistryClient) -> dict[str, object]:
    namespace = registry.control.create_namespace(f"images-{uuid.uuid4().hex[:6]}")
    return registry.control.create_function(namespace["id"], handler="handler.handle")


@pytest.fixture
def repository(registry: RegistryClient, function: dict[str, object]) -> str:
    return registry.deploy(function, zip_archive({"handler.py": HANDLER, "package/dep/__init__.py": "x = 1\n"}))


def errors(answer: object) -> list[str]:
    body = json.loads(getattr(answer, "body"))  # noqa: B009  any response
    return [one["code"] for one in body["errors"]]


def advance(control: ControlProcess, seconds: float) -> None:
    control.request("POST", "/fnkit/v1/clock", {"advance": seconds}).ok()


def test_endpoint_is_the_registry_of_this_machine(registry: RegistryClient, function: dict[str, object]) -> None:
    namespace = registry.control.get("namespaces", function["namespace_id"])
    port = registry.control.settings.api_port
    assert str(namespace["registry_endpoint"]).startswith(f"localhost:{port}/funcscwimages")


def test_endpoint_has_the_recorded_form_with_the_suffix_of_scaleway(tmp_path: Path) -> None:
    with running_control(tmp_path, domain_suffix="scw.cloud") as control:
        endpoint = control.create_namespace("TF func.objective-panini")["registry_endpoint"]
    assert re.fullmatch(r"rg\.fr-par\.scw\.cloud/funcscwtffuncobjectivepanin[a-z0-9]{8}", str(endpoint))


@pytest.mark.long
def test_deployment_publishes_an_image(
    registry: RegistryClient, function: dict[str, object], repository: str
) -> None:
    assert registry.tags(repository) == ["1", "latest"]
    assert registry.manifest(repository, "1") == registry.manifest(repository, "latest")
    base, worker, dependencies, code = map(layer_files, registry.layers(repository))
    assert any(name.startswith("etc/") for name in base)
    assert "usr/local/lib/fnkit/fnkit/core_runtime/main.py" in worker
    assert dependencies["home/app/function/package/dep/__init__.py"] == b"x = 1\n"
    assert code["home/app/function/handler.py"] == HANDLER.encode()
    assert not [name for name in code if "package" in name]
    config = registry.config(repository)["config"]
    assert isinstance(config, dict)
    assert config["User"] == "1000:1000"
    assert {"PORT=8080", "SCW_HANDLER_NAME=handle", f"SCW_APPLICATION_ID={function['id']}"} <= {*config["Env"]}


@pytest.mark.long
def test_edit_of_a_handler_adds_one_small_layer(
    registry: RegistryClient, function: dict[str, object], repository: str
) -> None:
    package = {f"package/dep/m{number}.py": f"x = {number}\n" * 1000 for number in range(50)}
    registry.deploy(function, zip_archive({"handler.py": HANDLER, **package}))
    registry.deploy(function, zip_archive({"handler.py": HANDLER.replace("hello", "bye"), **package}))
    assert registry.tags(repository) == ["1", "2", "3", "latest"]
    before, after = registry.manifest(repository, "2"), registry.manifest(repository, "3")
    assert isinstance(before["layers"], list)
    assert isinstance(after["layers"], list)
    added = [layer for layer in after["layers"] if layer not in before["layers"]]
    assert len(added) == 1
    assert added[0]["size"] < 4096


def test_functions_share_the_layers_that_are_the_same(registry: RegistryClient) -> None:
    namespace = registry.control.create_namespace(f"shared-{uuid.uuid4().hex[:6]}")
    archive = zip_archive({"handler.py": HANDLER, "package/dep.py": "x = 1\n"})
    layers = []
    for name in ("one", "other"):
        created = registry.control.create_function(namespace["id"], name, handler="handler.handle")
        layers.append(registry.manifest(registry.deploy(created, archive))["layers"])
    assert layers[0] == layers[1]


def test_change_of_settings_makes_an_image_without_a_layer_of_its_own(
    registry: RegistryClient, function: dict[str, object], repository: str
) -> None:
    change = {"environment_variables": {"GREETING": "hei"}}
    registry.control.request("PATCH", f"{API}/functions/{function['id']}", change).ok()
    wait_until(lambda: "2" in registry.tags(repository))
    assert registry.manifest(repository, "2")["layers"] == registry.manifest(repository, "1")["layers"]
    config = registry.config(repository, "2")["config"]
    assert isinstance(config, dict)
    assert "GREETING=hei" in config["Env"]


def test_secrets_are_not_in_an_image(registry: RegistryClient) -> None:
    secret = {"secret_environment_variables": [{"key": "TOKEN", "value": "very-secret-value"}]}
    namespace = registry.control.create_namespace(f"secret-{uuid.uuid4().hex[:6]}", **secret)
    created = registry.control.create_function(namespace["id"], handler="handler.handle", **secret)
    repository = registry.deploy(created, zip_archive({"handler.py": HANDLER}))
    config = json.dumps(registry.config(repository))
    assert "TOKEN" not in config
    assert not [one for one in (config.encode(), *registry.layers(repository)) if b"very-secret-value" in one]


def test_failed_deployment_has_no_tag(
    registry: RegistryClient, function: dict[str, object], repository: str
) -> None:
    assert registry.control.deploy(function["id"], b"not a zip file")["status"] == "error"
    registry.deploy(function, zip_archive({"handler.py": HANDLER}))
    assert registry.tags(repository) == ["1", "3", "latest"]


@pytest.mark.parametrize("secret_key", ["", "wrong"])
def test_login_is_required(registry: RegistryClient, repository: str, secret_key: str) -> None:
    stranger = RegistryClient(registry.control, secret_key)
    for path in ("", "_catalog", f"{repository}/tags/list", f"{repository}/manifests/latest"):
        answer = stranger.request(path)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert errors(answer) == ["UNAUTHORIZED"]


def test_key_of_a_project_sees_only_its_repositories(registry: RegistryClient, repository: str) -> None:
    own_project = str(uuid.uuid4())
    keys = {
        project: str(registry.control.request("POST", "/fnkit/v1/keys", {"project_id": project}).ok()["secret_key"])
        for project in (own_project, registry.control.settings.project_id)
    }
    stranger = RegistryClient(registry.control, keys[own_project])
    assert json.loads(stranger.request("_catalog").body) == {"repositories": []}
    digest = registry.manifest(repository)["config"]
    assert isinstance(digest, dict)
    for path in ("tags/list", "manifests/latest", f"blobs/{digest['digest']}", f"referrers/{digest['digest']}"):
        assert stranger.request(f"{repository}/{path}").status == 404, path
    owner = RegistryClient(registry.control, keys[registry.control.settings.project_id])
    assert repository in json.loads(owner.request("_catalog").body)["repositories"]
    assert owner.request(f"{repository}/manifests/latest").status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "blobs/uploads/"), ("PUT", "manifests/latest"), ("DELETE", "manifests/latest")],
    ids=["upload", "put", "delete"],
)
def test_writes_are_refused(registry: RegistryClient, repository: str, method: str, path: str) -> None:
    answer = registry.request(f"{repository}/{path}", method)
    assert (answer.status, errors(answer)) == (405, ["UNSUPPORTED"])
    assert registry.tags(repository) == ["1", "latest"]


def test_what_does_not_exist_has_the_code_of_the_specification(registry: RegistryClient, repository: str) -> None:
    missing = f"sha256:{'0' * 64}"
    expected = {
        f"{repository}x/tags/list": (404, "NAME_UNKNOWN"),
        f"{repository}x/manifests/latest": (404, "NAME_UNKNOWN"),
        f"{repository}/manifests/7": (404, "MANIFEST_UNKNOWN"),
        f"{repository}/manifests/{missing}": (404, "MANIFEST_UNKNOWN"),
        f"{repository}/blobs/{missing}": (404, "BLOB_UNKNOWN"),
        f"{repository}/blobs/sha256:..platform.db": (400, "DIGEST_INVALID"),
        f"{repository}/blobs/sha512:{'0' * 64}": (400, "DIGEST_INVALID"),
        "nothing": (404, "NAME_UNKNOWN"),
        "_catalog?n=x": (400, "PAGINATION_NUMBER_INVALID"),
    }
    for path, (status, code) in expected.items():
        answer = registry.request(path)
        assert (answer.status, errors(answer)) == (status, [code]), path


def test_blob_of_another_repository_is_unknown(registry: RegistryClient, repository: str) -> None:
    other_namespace = registry.control.create_namespace(f"other-{uuid.uuid4().hex[:6]}")
    created = registry.control.create_function(other_namespace["id"], handler="handler.handle")
    other = registry.deploy(created, zip_archive({"handler.py": HANDLER + "# other\n"}))
    code = registry.manifest(other)["layers"]
    assert isinstance(code, list)
    assert registry.request(f"{repository}/blobs/{code[-1]['digest']}").status == 404


def test_parts_of_a_blob(registry: RegistryClient, repository: str) -> None:
    layers = registry.manifest(repository)["layers"]
    assert isinstance(layers, list)
    digest, size = layers[1]["digest"], layers[1]["size"]
    whole = registry.blob(repository, layers[1])
    expected = {
        "bytes=0-0": whole[:1],
        "bytes=5-9": whole[5:10],
        f"bytes={size - 2}-": whole[-2:],
        "bytes=-3": whole[-3:],
        f"bytes=7-{size + 100}": whole[7:],
    }
    for header, part in expected.items():
        answer = registry.request(f"{repository}/blobs/{digest}", headers={"Range": header})
        assert (answer.status, answer.body) == (206, part), header
        first = size - len(part) if header == "bytes=-3" else int(header[6:].partition("-")[0])
        assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(part) - 1}/{size}"
    past_the_end = registry.request(f"{repository}/blobs/{digest}", headers={"Range": f"bytes={size}-"})
    assert (past_the_end.status, past_the_end.headers["Content-Range"]) == (416, f"bytes */{size}")
    for ignored in ("bytes=2-1x", "lines=1-2", "bytes=0-1,3-4", "bytes=-"):
        answer = registry.request(f"{repository}/blobs/{digest}", headers={"Range": ignored})
        assert (answer.status, answer.body) == (200, whole), ignored


def test_head_has_the_headers_of_get(registry: RegistryClient, repository: str) -> None:
    layers = registry.manifest(repository)["layers"]
    assert isinstance(layers, list)
    for path in ("manifests/latest", f"blobs/{layers[0]['digest']}"):
        head, answer = (registry.request(f"{repository}/{path}", method) for method in ("HEAD", "GET"))
        assert (head.status, head.body) == (200, b"")
        for name in ("Content-Length", "Content-Type", "Docker-Content-Digest", "ETag"):
            assert head.headers[name] == answer.headers[name]


def test_docker_gets_its_own_form(registry: RegistryClient, repository: str) -> None:
    answer = registry.request(f"{repository}/manifests/latest", headers={"Accept": DOCKER_MANIFEST})
    assert answer.headers["Content-Type"] == DOCKER_MANIFEST
    document = json.loads(answer.body)
    assert [layer["digest"] for layer in document["layers"]] == [
        layer["digest"] for layer in json.loads(registry.request(f"{repository}/manifests/1").body)["layers"]
    ]
    digest = answer.headers["Docker-Content-Digest"]
    by_digest = registry.request(f"{repository}/manifests/{digest}", headers={"Accept": MANIFEST})
    assert by_digest.body == answer.body
    assert digest == f"sha256:{hashlib.sha256(answer.body).hexdigest()}"


def test_pages_of_tags_and_repositories_are_complete(
    registry: RegistryClient, function: dict[str, object], repository: str
) -> None:
    for number in range(2, 5):
        registry.deploy(function, zip_archive({"handler.py": f"{HANDLER}# {number}\n"}))
    for path, field in ((f"{repository}/tags/list", "tags"), ("_catalog", "repositories")):
        expected = json.loads(registry.request(path).body)[field]
        for size in (1, 2, len(expected), 1000):
            found, following = [], f"{path}?n={size}"
            while following:
                answer = registry.request(following)
                found += json.loads(answer.body)[field]
                link = answer.headers.get("Link", "")
                assert not link or link.endswith('>; rel="next"')
                following = link.partition(">")[0].removeprefix("</v2/")
            assert found == expected


def test_images_of_a_deleted_function_expire_after_a_day(
    registry: RegistryClient, function: dict[str, object], repository: str
) -> None:
    registry.control.request("DELETE", f"{API}/functions/{function['id']}").ok()
    registry.control.wait_until_deleted("functions", function["id"])
    advance(registry.control, DAY - 60)
    code = registry.layers(repository)[-1]
    files = Path(registry.control.settings.data_dir, "layers")
    name = hashlib.sha256(code).hexdigest()
    assert (files / name).exists()
    advance(registry.control, 120)
    assert registry.request(f"{repository}/manifests/latest").status == 404
    assert not registry.tags(repository)


def test_new_function_of_the_same_name_replaces_the_images_of_a_deleted_one(
    registry: RegistryClient, function: dict[str, object], repository: str
) -> None:
    registry.control.request("DELETE", f"{API}/functions/{function['id']}").ok()
    registry.control.wait_until_deleted("functions", function["id"])
    before = registry.manifest(repository)
    again = registry.control.create_function(function["namespace_id"], handler="handler.handle")
    registry.control.deploy(again["id"], zip_archive({"handler.py": HANDLER + "# again\n"}))
    wait_until(lambda: registry.manifest(repository) != before)
    code = layer_files(registry.layers(repository)[-1])
    assert code["home/app/function/handler.py"].endswith(b"# again\n")
    assert registry.tags(repository) == ["1", "latest"]


def test_base_that_cannot_be_pulled_is_named_in_the_answer(tmp_path: Path) -> None:
    base = f"localhost:{free_port()}/team/base:1"
    with (
        running_control(tmp_path, base_images={"python311": base}) as control,
        connected_data_plane(control.settings.control_socket),
    ):
        registry = RegistryClient(control, control.settings.secret_key)
        function = control.create_function(control.create_namespace()["id"], handler="handler.handle")
        repository = registry.deploy(function, zip_archive({"handler.py": HANDLER}))
        answer = registry.request(f"{repository}/manifests/latest")
        assert (answer.status, errors(answer)) == (404, ["MANIFEST_UNKNOWN"])
        assert base in answer.text
        assert "cannot be reached" in answer.text
        assert base in control.log


@pytest.mark.long
def test_version_with_a_base_is_pulled_by_digest_while_a_newer_base_cannot_be_made(tmp_path: Path) -> None:
    with running_control(tmp_path) as control, connected_data_plane(control.settings.control_socket):
        registry = RegistryClient(control, control.settings.secret_key)
        function = control.create_function(control.create_namespace()["id"], handler="handler.handle")
        repository = registry.deploy(function, zip_archive({"handler.py": HANDLER}))
        head = registry.request(f"{repository}/manifests/1", "HEAD", headers={"Accept": MANIFEST})
        digest, layers = head.headers["Docker-Content-Digest"], registry.layers(repository, "1")
    base = f"localhost:{free_port()}/team/base:1"
    with (
        running_control(tmp_path, base_images={"python311": base}) as control,
        connected_data_plane(control.settings.control_socket),
    ):
        registry = RegistryClient(control, control.settings.secret_key)
        registry.deploy(function, zip_archive({"handler.py": HANDLER + "# newer\n"}))
        assert registry.request(f"{repository}/manifests/2").status == 404
        assert registry.layers(repository, digest) == layers


@pytest.mark.long
def test_images_survive_a_restart_and_missing_layers_are_made_again(tmp_path: Path) -> None:
    with running_control(tmp_path) as control:
        registry = RegistryClient(control, control.settings.secret_key)
        with connected_data_plane(control.settings.control_socket):
            namespace = control.create_namespace()
            function = control.create_function(namespace["id"], handler="handler.handle")
            repository = registry.deploy(function, zip_archive({"handler.py": HANDLER}))
            manifest = registry.manifest(repository)
        control.kill()
        control.start()
        assert registry.manifest(repository) == manifest
        control.stop()
        for layer in (tmp_path / "layers").iterdir():
            layer.unlink()
        (tmp_path / "layers" / ("0" * 64)).touch()  # of no image
        control.start()
        wait_until(lambda: registry.tags(repository) == ["1", "latest"])
        made_again = registry.manifest(repository)
        assert made_again["layers"] == manifest["layers"]
        assert [len(one) for one in registry.layers(repository)]
        assert not (tmp_path / "layers" / ("0" * 64)).exists()


@pytest.mark.long
@pytest.mark.skipif(SKOPEO is None, reason="skopeo is not installed")
def test_skopeo_copies_an_image(registry: RegistryClient, repository: str, tmp_path: Path) -> None:
    assert SKOPEO is not None
    address = f"docker://localhost:{registry.control.settings.api_port}/{repository}"
    login = ["--src-tls-verify=false", "--src-creds", f"nologin:{registry.secret_key}"]
    for form in ("oci", "v2s2"):
        target = f"dir:{tmp_path / form}"
        subprocess.run([SKOPEO, "copy", "--quiet", "--format", form, *login, f"{address}:1", target], check=True)
        copied = json.loads((tmp_path / form / "manifest.json").read_bytes())
        expected = registry.manifest(repository)["layers"]
        assert isinstance(expected, list)
        assert [layer["digest"] for layer in copied["layers"]] == [layer["digest"] for layer in expected]
    pushing = ["--dest-tls-verify=false", "--dest-creds", f"nologin:{registry.secret_key}"]
    pushed = subprocess.run(
        [SKOPEO, "copy", *pushing, f"dir:{tmp_path / 'oci'}", f"{address}:mine"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert pushed.returncode != 0
    assert "read-only" in pushed.stderr
    tags = ["list-tags", "--tls-verify=false", "--creds", f"nologin:{registry.secret_key}", address]
    listed = subprocess.run([SKOPEO, *tags], capture_output=True, check=True)
    assert json.loads(listed.stdout)["Tags"] == ["1", "latest"]
