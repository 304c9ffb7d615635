"""Bundle targets: Scaleway's images, and the interpreters that the platform reports."""

import pytest

from fnkit.bundler.target import BundleTarget
from fnkit.errors import BundleError


def test_scaleway_target_is_musllinux() -> None:
    target = BundleTarget.scaleway("python313")
    assert (target.python, target.platform, target.language) == ((3, 13), "musllinux_1_2_x86_64", "python")
    tags = {str(tag) for tag in target.tags()}
    assert "cp313-cp313-musllinux_1_2_x86_64" in tags
    assert "cp38-abi3-musllinux_1_1_x86_64" in tags
    assert "py3-none-any" in tags
    assert not any("manylinux" in tag for tag in tags)


def test_platform_target_uses_the_reported_python_version() -> None:
    target = BundleTarget.parse("python313", "cpython-3.11-x86_64-linux-gnu")
    assert target.python == (3, 11)
    tags = [str(tag) for tag in target.tags()]
    assert tags[0] == "cp311-cp311-manylinux_2_28_x86_64"
    assert "cp311-cp311-manylinux2014_x86_64" in tags
    assert not any("musllinux" in tag for tag in tags)


@pytest.mark.parametrize(
    ("description", "platform", "resolver"),
    [
        ("cpython-3.12-aarch64-linux-gnu", "manylinux_2_28_aarch64", "aarch64-unknown-linux-gnu"),
        ("cpython-3.12-x86_64-linux-musl", "musllinux_1_2_x86_64", "x86_64-unknown-linux-musl"),
        ("cpython-3.12-arm64-darwin-none", "macosx_13_0_arm64", "aarch64-apple-darwin"),
        ("cpython-3.12.4-x86_64-darwin-none", "macosx_13_0_x86_64", "x86_64-apple-darwin"),
    ],
)
def test_description_maps_to_wheel_and_uv_platform_tags(description: str, platform: str, resolver: str) -> None:
    target = BundleTarget.parse("python312", description)
    assert (target.platform, target.uv_platform, target.python) == (platform, resolver, (3, 12))


@pytest.mark.parametrize(
    "description",
    ["", "cpython", "cpython-3-x86_64-linux-gnu", "cpython-a.b-x86_64-linux-gnu", "cpython-3.12-vax-linux-gnu",
     "cpython-3.12-x86_64-linux", "cpython-3.12-x86_64-plan9-gnu", "cpython-3.12-x86_64-linux-bionic"],
)  # fmt: skip
def test_unknown_target_is_rejected(description: str) -> None:
    with pytest.raises(BundleError) as raised:
        BundleTarget.parse("python312", description)
    assert raised.value.code == "unknown-target"


@pytest.mark.parametrize(
    ("runtime", "description", "language", "resolver"),
    [
        ("node22", "node-22-x86_64-linux-gnu", "node", "x86_64-unknown-linux-gnu"),
        ("node24", "node-24.19-aarch64-linux-musl", "node", "aarch64-unknown-linux-musl"),
        ("php85", "php-8.2-arm64-darwin", "php", "aarch64-apple-darwin"),
        ("go126", "go-1.26-x86_64-linux", "go", "x86_64-unknown-linux-gnu"),
        ("rust196", "rust-1.95-x86_64-linux-gnu", "rust", "x86_64-unknown-linux-gnu"),
    ],
)
def test_target_of_another_language_has_no_python(
    runtime: str, description: str, language: str, resolver: str
) -> None:
    target = BundleTarget.parse(runtime, description)
    assert (target.language, target.python, list(target.tags())) == (language, None, [])
    assert target.uv_platform == resolver


def test_unknown_runtime_is_rejected() -> None:
    with pytest.raises(BundleError) as raised:
        BundleTarget.scaleway("python999")
    assert raised.value.code == "unknown-runtime"
