"""Which deployment answers at a host name and at a path of the gateway."""

from __future__ import annotations

import itertools

import pytest

from fnkit.platform.data_plane.gateway.router import Router
from tests.support.routes import make_route

PATH = "/fr-par/default/hello"
OLDER = make_route("older", path_prefix=PATH, created_at=1)
NEWER = make_route("newer", path_prefix=PATH, created_at=2)


def function_at(router: Router, path: str = PATH) -> str | None:
    found = router.find_by_path(b"localhost", path)
    return found[0].function_id if found else None


@pytest.mark.parametrize("order", list(itertools.permutations([OLDER, NEWER])))
def test_path_belongs_to_the_oldest_function_whatever_the_order(order: tuple[object, ...]) -> None:
    router = Router()
    for route in order:
        router.put(route)  # type: ignore[arg-type]  # permutations lose the type
    assert function_at(router) == "older"
    assert function_at(router, f"{PATH}/a/b") == "older"


def test_redeployment_of_the_newer_function_does_not_take_the_path() -> None:
    router = Router()
    router.put(OLDER)
    router.put(NEWER)
    router.put(make_route("newer", path_prefix=PATH, created_at=2, generation=2))
    router.set_hosts("newer", ("newer.test",))
    assert function_at(router) == "older"


def test_path_passes_to_the_next_function_only_when_its_holder_is_removed() -> None:
    router = Router()
    router.put(OLDER)
    router.put(NEWER)
    router.remove("newer")
    assert function_at(router) == "older"
    router.put(NEWER)
    router.remove("older")
    assert function_at(router) == "newer"
    router.remove("newer")
    assert function_at(router) is None
    assert len(router) == 0
