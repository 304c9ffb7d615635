"""The base of images of functions in other languages, made of this machine's files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from fnkit.errors import PlatformError
from fnkit.platform.control.images.host_base import host_base_key, make_host_base
from fnkit.platform.control.images.layer_store import LayerStore
from fnkit.platform.control.images.machine_files import MachineFiles
from fnkit.platform.control.images.other_interpreter import OtherInterpreter
from tests.support.builds import toolchain

PYTHON = os.path.realpath(sys.executable)

needs_chroot = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="changing the root directory needs root on Linux"
)


def other(language: str) -> OtherInterpreter:
    return OtherInterpreter(language, toolchain(language))


class UnpackedBase:
    """A base with another interpreter, in a store, and unpacked."""

    def __init__(self, language: str, folder: Path) -> None:
        store = LayerStore(folder / "store")
        self.interpreter = other(language)
        self.image = make_host_base(PYTHON, store, self.interpreter)
        self.root = folder / "root"
        (layer,) = self.image.layers
        with store.open(layer.digest) as stored, tarfile.open(fileobj=stored, mode="r:gz") as archive:
            archive.extractall(self.root, filter="fully_trusted")  # noqa: S202 - our own layer

    def run(self, *command: str) -> str:
        """Run a command, found on the image's PATH, as the user of instances."""
        chroot = ["/usr/sbin/chroot", "--userspec=1000:1000", str(self.root), *command]
        return output_of(chroot, self.image.environment)


def output_of(command: list[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, env=dict(environment), cwd="/", capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> UnpackedBase:
    return UnpackedBase("Node", tmp_path_factory.mktemp("node"))


@pytest.fixture(scope="module")
def php(tmp_path_factory: pytest.TempPathFactory) -> UnpackedBase:
    return UnpackedBase("PHP", tmp_path_factory.mktemp("php"))


@needs_chroot
@pytest.mark.long
class TestBase:
    def test_node_runs_and_finds_authorities_names_and_a_shell(self, node: UnpackedBase) -> None:
        program = (
            "const { execSync } = require('node:child_process');"
            "console.log(JSON.stringify([execSync('echo x').toString(), os.userInfo().username,"
            "  new Intl.DateTimeFormat('fr', {month: 'long'}).format(0), tls.rootCertificates.length > 50]))"
        )
        found = json.loads(node.run("node", "-e", program))
        assert found == ["x\n", "app", "janvier", True]

    def test_php_has_the_extensions_that_it_has_here(self, php: UnpackedBase) -> None:
        here = output_of([php.interpreter.path, "-m"], {})
        assert php.run("php", "-m") == here
        assert "Zend OPcache" in here

    def test_php_finds_authorities_and_time_zones(self, php: UnpackedBase) -> None:
        program = (
            "echo json_encode([PHP_BINARY, count(file(openssl_get_cert_locations()['default_cert_dir']"
            " . '/ca-certificates.crt')) > 100, (new DateTime('2026-01-01 Europe/Paris'))->format('P')]);"
        )
        assert json.loads(php.run("php", "-r", program)) == [php.interpreter.path, True, "+01:00"]

    @pytest.mark.parametrize("language", ["node", "php"])
    def test_core_runtime_has_its_python(self, language: str, request: pytest.FixtureRequest) -> None:
        base: UnpackedBase = request.getfixturevalue(language)
        assert base.image.interpreter == PYTHON
        assert base.run(PYTHON, "-I", "-S", "-c", "import asyncio, json; print('runs')") == "runs\n"
        assert base.image.environment["FNKIT_INTERPRETER"] == base.interpreter.path

    def test_same_files_give_the_same_layer(self, php: UnpackedBase, tmp_path: Path) -> None:
        assert make_host_base(PYTHON, LayerStore(tmp_path / "again"), php.interpreter) == php.image


def script(folder: Path, text: str) -> OtherInterpreter:
    path = folder / "php"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return OtherInterpreter("PHP", str(path))


def test_configuration_of_php_keeps_nothing_but_extensions(tmp_path: Path) -> None:
    directory = tmp_path / "modules"
    directory.mkdir()
    for name in ("private.so", "public.so", "also.so"):
        (directory / name).touch(mode=0o600 if name == "private.so" else 0o644)
    ini = tmp_path / "php.ini"
    ini.write_text(
        f'mysqli.default_pw = "of-the-machine"\nextension_dir = {directory}\n;extension=commented\n'
        f'extension=public\n  extension = "{directory}/also.so" ; as a path\nextension=private\n'
        "extension=missing.so\n"
    )
    setup = script(tmp_path, f'exec {toolchain("PHP")} -n -c {ini} "$@"').read_setup()
    files = MachineFiles()
    added = setup.add_to(files)
    assert added == [str(directory / "public.so"), str(directory / "also.so")]
    (content,) = [entry.content for entry in files.entries if entry.path.endswith("php.ini")]
    assert content.decode() == "".join(f"extension={path}\n" for path in added)


def test_key_of_a_base_changes_with_the_extensions_of_php(tmp_path: Path) -> None:
    extension, ini = tmp_path / "one.so", tmp_path / "php.ini"
    php = script(tmp_path, f'exec {toolchain("PHP")} -n -c {ini} "$@"')
    keys = []
    for content, lines in (("", ""), ("", f"extension={extension}\n"), ("changed", f"extension={extension}\n")):
        extension.write_text(content)
        ini.write_text(lines)
        keys.append(host_base_key(PYTHON, php))
    assert len({*keys, host_base_key(PYTHON)}) == 4


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit 3", "it does not say where its configuration is"),
        ("echo '{\"files\": 1}'", "it does not say where its configuration is"),
    ],
)
def test_php_that_cannot_be_asked_is_an_error(tmp_path: Path, text: str, reason: str) -> None:
    php = script(tmp_path, text)
    with pytest.raises(PlatformError) as raised:
        host_base_key(PYTHON, php)
    assert (raised.value.code, raised.value.message) == (
        "image-base",
        f"The interpreter {php.path} cannot be copied into an image: {reason}.",
    )
