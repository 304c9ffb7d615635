"""The URL of another function of the project, as the value of an environment variable.

The URL is known when the function is deployed, so a ``FunctionUrl`` holds the function's name only. ``fnkit`` gives
the deployed function the URL itself.
"""

from __future__ import annotations

from typing import NoReturn


class FunctionUrl:
    """The URL of a function of the same project and stage; made by ``url_of``. Immutable.

    It is no string and becomes none: a text that contains it would be deployed without the URL.

    Attributes:
        function: The function's name.
    """

    __slots__ = ("function",)

    function: str

    def __init__(self, function: str) -> None:
        object.__setattr__(self, "function", function)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete field {name!r}")

    def __reduce__(self) -> tuple[type[FunctionUrl], tuple[str]]:
        return FunctionUrl, (self.function,)

    def __eq__(self, other: object) -> bool:
        return self.function == other.function if isinstance(other, FunctionUrl) else NotImplemented

    def __hash__(self) -> int:
        return hash((FunctionUrl, self.function))

    def __repr__(self) -> str:
        return f"url_of({self.function!r})"

    def __str__(self) -> NoReturn:
        raise TypeError(f"{self!r} is no text: its URL is known when it is deployed; use it as a value of env")

    def __format__(self, _spec: str) -> NoReturn:
        self.__str__()


def url_of(name: str) -> FunctionUrl:
    """Return the URL of a function of this project, as a value of ``env``.

    The variable holds the URL in the deployed function, ending in ``/``: ``env={"HEALTH_URL": url_of("health")}``.

    Args:
        name: Name of the function, as it is deployed.

    Raises:
        TypeError: The name is not a string.
    """
    if not isinstance(name, str):
        raise TypeError(f'url_of takes the name of a function, as in url_of("health"), not {name!r}')
    return FunctionUrl(name)
