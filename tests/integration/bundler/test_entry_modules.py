"""Archives have an entry module for each handler that the platform cannot call itself, and slices cover it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fnkit.bundler.bundle import bundle_project
from fnkit.bundler.model import Bundle
from fnkit.bundler.target import BundleTarget
from fnkit.deploy.loading import load_project
from fnkit.errors import BundleError
from tests.support.bundle_projects import LOCAL
from tests.support.project_tree import write_files

SETTINGS = 'name = "shop"\n[defaults]\nruntime = "python311"\n'
HANDLERS = """
from dataclasses import dataclass

import rates
from fnkit import function


@dataclass
class Order:
    total: float


@function
def plain(event, context):
    return "plain"


@function
def price(order: Order) -> Order:
    return Order(order.total * rates.RATE)


@function
async def later(event, context):
    return "later"
"""
CALL = """
import importlib, json, sys
root, handler, body = sys.argv[1:]
path, _, name = handler.rpartition(".")
folder, _, module = path.rpartition("/")
sys.path[:0] = [root, f"{root}/package"]
sys.path.append(f"{root}/{folder}")
event = {"path": "/", "httpMethod": "POST", "headers": {}, "queryStringParameters": {}, "body": body}
print(json.dumps(getattr(importlib.import_module(module), name)(event, {})))
"""


def bundle(root: Path, out: Path) -> Bundle:
    [made] = bundle_project(
        load_project(root),
        {"python311": BundleTarget.parse("python311", LOCAL)},
        out=out / "out",
        cache=out / "cache",
        kind="local",
    )
    return made


def digests(made: Bundle) -> dict[str, str]:
    return {one.function: one.digest for one in made.slices}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    write_files(root, {"fnkit.toml": SETTINGS, "shop/orders.py": HANDLERS, "rates.py": "RATE = 2\n"})
    return root


def call(archive: Path, folder: Path, handler: str, body: str = "") -> str:
    """Import and call a handler as the platform does, with the archive and the standard library alone."""
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder)
    arguments = [sys.executable, "-I", "-S", "-c", CALL, str(folder), handler, body]
    return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.strip()


def test_entry_module_is_called_with_event_and_context(shop: Path, tmp_path: Path) -> None:
    made = bundle(shop, tmp_path)
    handlers = {one.name: one.handler for one in load_project(shop).functions}
    assert handlers == {
        "plain": "shop/orders.plain",
        "price": "shop/fnkit_entry_price_of_orders.price",
        "later": "shop/fnkit_entry_later_of_orders.later",
    }
    unpacked = tmp_path / "unpacked"
    assert call(made.path, unpacked, handlers["plain"]) == '"plain"'
    assert call(made.path, unpacked, handlers["later"]) == '"later"'
    assert '{\\"total\\":6.0}' in call(made.path, unpacked, handlers["price"], '{"total": 3}')
    assert '"statusCode": 422' in call(made.path, unpacked, handlers["price"], "{}")
    assert (unpacked / "shop/fnkit_entry_price_of_orders.py").read_text() == (
        '"""Written by fnkit: calls price of shop/orders.py, a typed handler, with event and context."""\n\n'
        "from orders import price as handler\n\nfrom fnkit.adapters import adapt\n\nprice = adapt(handler)\n"
    )


def test_slice_covers_the_user_s_files_the_entry_module_and_the_adapters(shop: Path, tmp_path: Path) -> None:
    files = {one.function: {name for name, _ in one.files} for one in bundle(shop, tmp_path).slices}
    adapters = {name for name in files["price"] if name.startswith("package/fnkit/adapters/")}
    assert {"package/fnkit/adapters/adapt.py", "package/fnkit/adapters/decoders.py"} <= adapters
    assert not any(name.endswith(("schemas.py", "describe.py")) for name in adapters)
    assert files["price"] - files["plain"] == {"shop/fnkit_entry_price_of_orders.py", *adapters}
    assert {"rates.py", "shop/orders.py"} <= files["price"]


def test_digest_follows_what_a_typed_handler_reaches(shop: Path, tmp_path: Path) -> None:
    first = bundle(shop, tmp_path)
    assert digests(bundle(shop, tmp_path)) == digests(first)
    write_files(shop, {"rates.py": "RATE = 3\n"})
    changed = bundle(shop, tmp_path)
    assert all(digests(changed)[name] != digest for name, digest in digests(first).items())


def test_handler_that_becomes_typed_changes_its_digest_and_plain_ones_keep_theirs(
    shop: Path, tmp_path: Path
) -> None:
    write_files(shop, {"other.py": "from fnkit import function\n@function\ndef other(event, context): ...\n"})
    before = digests(bundle(shop, tmp_path))
    write_files(shop, {"third.py": "from fnkit import function\n@function\ndef third(name: str): ...\n"})
    after = digests(bundle(shop, tmp_path))
    assert {name: after[name] for name in before} == before
    write_files(shop, {"other.py": "from fnkit import function\n@function\ndef other(event): ...\n"})
    assert digests(bundle(shop, tmp_path))["other"] != before["other"]


def test_project_without_such_handlers_has_no_adapters(shop: Path, tmp_path: Path) -> None:
    write_files(shop, {"shop/orders.py": "from fnkit import function\n@function\ndef plain(event, context): ...\n"})
    with zipfile.ZipFile(bundle(shop, tmp_path).path) as archive:
        assert not any("adapters" in name or "entry" in name for name in archive.namelist())


def test_file_in_the_place_of_an_entry_module_is_an_error(shop: Path, tmp_path: Path) -> None:
    write_files(shop, {"shop/fnkit_entry_price_of_orders.py": ""})
    with pytest.raises(BundleError, match=r"fnkit_entry_price_of_orders\.py is in the place of"):
        bundle(shop, tmp_path)


def test_file_whose_name_is_no_identifier_is_imported(shop: Path, tmp_path: Path) -> None:
    write_files(
        shop, {"my-shop.py": "from fnkit import function\n@function\ndef hello(name: str = 'you'): return name\n"}
    )
    made = bundle(shop, tmp_path)
    assert call(made.path, tmp_path / "unpacked", "fnkit_entry_hello_of_my_shop.hello") == '"you"'
