"""Reads from a typed handler's signature where each of its parameters comes from."""

from __future__ import annotations

import contextlib
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fnkit.adapters.decoders import DecoderFactory, resolve_alias
from fnkit.adapters.faults import UnsupportedType
from fnkit.adapters.models import is_model
from fnkit.adapters.scalars import Decoder
from fnkit.authoring.calling import EVENT_NAMES, is_event_name, signature_of
from fnkit.authoring.declarations import DECLARATIONS_ATTRIBUTE, CronDeclaration, TriggerDeclaration
from fnkit.authoring.parameters import Body, ParameterMarker, Path
from fnkit.authoring.types import Context, Event

_PLACEHOLDER: Final = re.compile(r"\{(\w+)(:path)?\}")
_ALIASES: Final[Mapping[str, Callable[[str], str]]] = {"header": lambda name: name.replace("_", "-")}
_RAW: Final = (str, bytes)


@dataclass(frozen=True)
class Parameter:
    """A parameter of a typed handler.

    Attributes:
        name: Its name in the handler.
        source: ``query``, ``header``, ``cookie``, ``path``, ``body``, ``event`` or ``context``.
        key: Its name in the request; empty for a parameter that is the whole body.
        hint: Its type, with its marker.
        default: Its default, ``inspect.Parameter.empty`` for none.
        is_raw: Whether it is the body as it is, text or bytes.
        decode: Decodes it from JSON, or from text where it comes from anything but the body.
        decode_text: Decodes it from a form.
        description: For the OpenAPI document.
        is_positional: Whether it can be passed by position only.
    """

    name: str
    source: str
    key: str
    hint: Any
    default: Any
    is_raw: bool
    decode: Decoder
    decode_text: Decoder
    description: str
    is_positional: bool

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True)
class PathTemplate:
    """The path that a function answers.

    Attributes:
        text: As it was written, ``""`` for any path.
        pattern: Matches it; the values are named groups.
    """

    text: str
    pattern: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> PathTemplate:
        """Parse a template such as ``/books/{id}`` or ``/files/{rest:path}``.

        >>> PathTemplate.parse("/books/{id}").pattern.fullmatch("/books/7")["id"]
        '7'
        """
        pieces: list[str] = []
        position = 0
        for found in _PLACEHOLDER.finditer(text):
            pieces.append(re.escape(text[position : found.start()]))
            pieces.append(f"(?P<{found[1]}>{'.*' if found[2] else '[^/]+'})")
            position = found.end()
        pieces.append(re.escape(text[position:]))
        return cls(text, re.compile("".join(pieces) if text else ".*", re.DOTALL))

    @property
    def names(self) -> frozenset[str]:
        """The names of its values."""
        return frozenset(self.pattern.groupindex)


@dataclass(frozen=True)
class TypedSignature:
    """What a typed handler takes and returns.

    Attributes:
        parameters: In the order of the signature.
        path: The path that it answers.
        returns: The hint of its result, or ``Any``.
    """

    parameters: tuple[Parameter, ...]
    path: PathTemplate
    returns: Any

    @property
    def body(self) -> tuple[Parameter, ...]:
        """The parameters that come from the body."""
        return tuple(one for one in self.parameters if one.source == "body")


def read_signature(handler: Callable[..., object]) -> TypedSignature:
    """Read the signature of a typed handler.

    Raises:
        UnsupportedType: A parameter has no type, or one that cannot come from a request.
    """
    name = getattr(handler, "__qualname__", type(handler).__qualname__)
    hints = _resolve_hints(handler, name)
    given = list(signature_of(handler).parameters.values())
    markers = {one.name: _marker_of(hints.get(one.name), one, name) for one in given}
    path = _path_template(markers.values(), name)
    declarations = getattr(handler, DECLARATIONS_ATTRIBUTE, ())
    has_events = any(isinstance(one, CronDeclaration | TriggerDeclaration) for one in declarations)
    sources = {
        one.name: _source_of(one, hints.get(one.name), markers[one.name], path, "body" if has_events else "query")
        for one in given
    }
    bodies = [one for one, source in sources.items() if source == "body"]
    embeds = len(bodies) > 1 or any(_is_embedded(hints.get(one), markers[one]) for one in bodies)
    factory = DecoderFactory()
    parameters = tuple(
        _parameter(one, hints.get(one.name), sources[one.name], markers[one.name], factory, embeds=embeds, of=name)
        for one in given
    )
    _check_path(path, parameters, name)
    return TypedSignature(parameters, path, hints.get("return", Any))


def _resolve_hints(handler: Callable[..., object], name: str) -> dict[str, Any]:
    """Return the type hints of a handler. One of its result that cannot be resolved is left out: nothing needs it.

    Raises:
        UnsupportedType: One of a parameter cannot be resolved.
    """
    with contextlib.suppress(NameError, TypeError):
        return typing.get_type_hints(handler, include_extras=True)

    def without_result() -> None: ...

    function = inspect.unwrap(handler)
    try:
        own = dict(inspect.get_annotations(function))
        own.pop("return", None)
        without_result.__annotations__ = own
        return typing.get_type_hints(without_result, getattr(function, "__globals__", {}), include_extras=True)
    except (NameError, TypeError) as error:
        raise UnsupportedType(
            f"the type hints of {name} cannot be resolved: {error}; import their names outside TYPE_CHECKING"
        ) from None


def _marker_of(hint: Any, parameter: inspect.Parameter, name: str) -> ParameterMarker | None:
    if isinstance(parameter.default, ParameterMarker):
        kind = type(parameter.default).__name__
        raise UnsupportedType(
            f"{parameter.name} of {name} has a marker as its default; write Annotated[…, {kind}()] as its type"
        )
    metadata = hint.__metadata__ if typing.get_origin(hint) is typing.Annotated else ()
    found = [one() if isinstance(one, type) and issubclass(one, ParameterMarker) else one for one in metadata]
    return next((one for one in found if isinstance(one, ParameterMarker) and one.source), None)


def _path_template(markers: typing.Iterable[ParameterMarker | None], name: str) -> PathTemplate:
    texts = sorted({one.template for one in markers if isinstance(one, Path) and one.template})
    if len(texts) > 1:
        raise UnsupportedType(f"{name} has several paths: {', '.join(texts)}; a function has one")
    return PathTemplate.parse(texts[0] if texts else "")


def _source_of(
    parameter: inspect.Parameter, hint: Any, marker: ParameterMarker | None, path: PathTemplate, scalar: str
) -> str:
    """Return where a parameter comes from.

    Args:
        parameter: The parameter.
        hint: Its type hint.
        marker: Its marker.
        path: The path of the function.
        scalar: Where single values come from that nothing else is said of.
    """
    if marker is not None:
        return marker.source
    if hint is Event or hint is Context:
        return "event" if hint is Event else "context"
    if is_event_name(parameter.name) and hint is None:
        return parameter.name.strip("_")
    if parameter.name in path.names:
        return "path"
    return "body" if _is_object(hint) else scalar


def _is_object(hint: Any) -> bool:
    """Return whether a type is an object in JSON, or a list of them."""
    if typing.get_origin(hint) is typing.Annotated:
        hint = hint.__origin__
    hint = resolve_alias(hint)
    if hint is dict or typing.get_origin(hint) in (dict, Mapping):
        return True
    if is_model(hint):
        return True
    return any(_is_object(one) for one in typing.get_args(hint)) and typing.get_origin(hint) is not typing.Literal


def _is_embedded(hint: Any, marker: ParameterMarker | None) -> bool:
    """Return whether a lone parameter is a member of the body: by its marker, or a single value without one."""
    if isinstance(marker, Body):
        return marker.embed
    return not _is_object(hint)


def _parameter(
    parameter: inspect.Parameter,
    hint: Any,
    source: str,
    marker: ParameterMarker | None,
    factory: DecoderFactory,
    *,
    embeds: bool,
    of: str,
) -> Parameter:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise UnsupportedType(f"{of} has *{parameter.name}, which no part of a request is")
    if hint is None and source not in EVENT_NAMES:
        raise UnsupportedType(f"{parameter.name} of {of} has no type; write one, as in {parameter.name}: str")
    key = (marker.alias if marker is not None else None) or _ALIASES.get(source, str)(parameter.name)
    plain = hint.__origin__ if typing.get_origin(hint) is typing.Annotated else hint
    is_whole = source == "body" and not embeds
    is_injected = source in EVENT_NAMES
    try:
        return Parameter(
            name=parameter.name,
            source=source,
            key="" if is_whole else key,
            hint=hint,
            default=parameter.default,
            is_raw=is_whole and plain in _RAW,
            decode=factory.make(Any if is_injected else hint, is_text=source != "body"),
            decode_text=factory.make(Any if is_injected else hint, is_text=True),
            description=marker.description if marker is not None else "",
            is_positional=parameter.kind is parameter.POSITIONAL_ONLY,
        )
    except UnsupportedType as error:
        raise UnsupportedType(f"{parameter.name} of {of}: {error}") from None


def _check_path(path: PathTemplate, parameters: tuple[Parameter, ...], name: str) -> None:
    """Check that each value of the path has a parameter, and the other way round.

    Raises:
        UnsupportedType: One has none.
    """
    wanted = {one.key for one in parameters if one.source == "path"}
    if wanted != path.names:
        [missing, *_] = sorted(wanted ^ path.names)
        raise UnsupportedType(
            f"{name}: {missing} is not both in the path and a parameter; "
            'write Annotated[…, Path("/books/{id}")] with the names of the parameters'
        )
