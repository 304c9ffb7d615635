"""Markers for the parameters of typed handlers, and an error that has a status (``docs/typed-handlers.md``).

A marker stands in ``Annotated`` and says which part of the request a parameter comes from:
``Annotated[str, Header()]``. Its constraints are checked before the handler is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypedDict, Unpack


class MarkerOptions(TypedDict, total=False):
    """What every marker accepts.

    Attributes:
        alias: The name in the request, if it differs from the parameter's.
        description: For the OpenAPI document.
        ge: The least number, and so on.
        pattern: A regular expression that the whole text has to match from its beginning.
    """

    alias: str
    description: str
    ge: float
    gt: float
    le: float
    lt: float
    min_length: int
    max_length: int
    pattern: str


class ParameterMarker:
    """Where a parameter comes from, and its constraints.

    Attributes:
        source: The part of the request; empty for a marker that adds constraints alone.
        alias: The name in the request, or ``None`` for the parameter's.
        description: For the OpenAPI document.
        constraints: The given ones by name.
    """

    source: ClassVar[str] = ""

    def __init__(self, **options: Unpack[MarkerOptions]) -> None:
        unknown = sorted(options.keys() - MarkerOptions.__annotations__.keys())
        if unknown:
            raise TypeError(f"{type(self).__name__} has no option {unknown[0]}")
        self.alias = options.get("alias")
        self.description = options.get("description", "")
        self.constraints: Mapping[str, object] = {
            name: value for name, value in options.items() if name not in ("alias", "description")
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class Query(ParameterMarker):
    """A query parameter. The platform keeps the last value of a repeated one; a list is separated by commas."""

    source = "query"


class Header(ParameterMarker):
    """A header. Its name is the parameter's, with ``-`` for ``_``."""

    source = "header"


class Cookie(ParameterMarker):
    """A cookie."""

    source = "cookie"


class Path(ParameterMarker):
    """A part of the path.

    Args:
        template: The path that the function answers, such as ``/books/{id}``; other paths get 404. One of the
            parameters has it. ``{rest:path}`` stands for any number of segments.
        **options: What every marker accepts.
    """

    source = "path"

    def __init__(self, template: str = "", **options: Unpack[MarkerOptions]) -> None:
        super().__init__(**options)
        self.template = template


class Body(ParameterMarker):
    """The body of the request, as JSON or as a form. A lone ``str`` or ``bytes`` gets the body as it is.

    Args:
        embed: Whether a lone parameter is a member of the body, as several parameters are.
        **options: What every marker accepts.
    """

    source = "body"

    def __init__(self, *, embed: bool = False, **options: Unpack[MarkerOptions]) -> None:
        super().__init__(**options)
        self.embed = embed


class HttpError(Exception):
    """Raised by a typed handler to answer with a status.

    Args:
        status: The status code.
        detail: Any value that has JSON; the body is ``{"detail": detail}``.
        headers: Headers of the response.
    """

    status: int
    detail: object
    headers: Mapping[str, str]

    def __init__(self, status: int, detail: object = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
