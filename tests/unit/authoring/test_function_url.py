"""``url_of``: a value that stands for the URL of another function."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from fnkit import FunctionUrl, function, url_of
from fnkit.authoring.declarations import DECLARATIONS_ATTRIBUTE, FunctionDeclaration


def test_url_of_names_a_function_and_compares_by_it() -> None:
    assert url_of("health") == FunctionUrl("health")
    assert url_of(name="health").function == "health"
    assert url_of("health") != url_of("orders")
    assert url_of("health") != "health"
    assert len({url_of("health"), url_of("health"), url_of("orders")}) == 2
    assert repr(url_of("health")) == "url_of('health')"


@pytest.mark.parametrize("name", [None, 3, b"health", ["health"], url_of])
def test_url_of_takes_a_string(name: object) -> None:
    with pytest.raises(TypeError, match='as in url_of\\("health"\\)'):
        url_of(name)  # type: ignore[arg-type]  # the mistake of a user


def test_a_function_url_does_not_change() -> None:
    url = url_of("health")
    with pytest.raises(AttributeError):
        url.function = "orders"
    with pytest.raises(AttributeError):
        del url.function
    assert copy.deepcopy(url) == url


@pytest.mark.parametrize(
    "text",
    [str, "{}".format, lambda url: f"{url}ping", lambda url: url + "ping"],
    ids=["str", "format", "f-string", "concatenation"],
)
def test_a_function_url_becomes_no_text_that_lacks_the_url(text: Callable[[object], str]) -> None:
    with pytest.raises(TypeError):
        text(url_of("health"))


def test_the_decorator_keeps_the_value() -> None:
    @function(env={"HEALTH_URL": url_of("health"), "LEVEL": "info"})
    def orders(event: object, context: object) -> None: ...

    (declaration,) = getattr(orders, DECLARATIONS_ATTRIBUTE)
    assert isinstance(declaration, FunctionDeclaration)
    assert declaration.env == {"HEALTH_URL": FunctionUrl("health"), "LEVEL": "info"}
