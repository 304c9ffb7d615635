"""Takes the values of typed parameters from an event."""

from __future__ import annotations

import json
import typing
from collections.abc import Mapping
from typing import Any, Final

from fnkit.adapters.faults import INVALID, Fault, Faults
from fnkit.adapters.parameters import Parameter, TypedSignature

_FORM: Final = "application/x-www-form-urlencoded"
_MISSING: Final = object()


class RequestValues:
    """The parts of a request, as an event has them.

    Args:
        event: The event.
        path: The values of the path.
    """

    def __init__(self, event: Mapping[str, Any], path: Mapping[str, str]) -> None:
        self.event = event
        headers = {str(name).lower(): value for name, value in (event.get("headers") or {}).items()}
        self._sources: dict[str, Mapping[str, Any]] = {
            "query": event.get("queryStringParameters") or {},
            "header": headers,
            "path": path,
        }
        self.content_type = str(headers.get("content-type", "")).partition(";")[0].strip().lower()

    def get(self, source: str, key: str) -> Any:
        """Return a value, or ``_MISSING``."""
        if source == "cookie" and source not in self._sources:
            self._sources["cookie"] = parse_cookies(str(self._sources["header"].get("cookie", "")))
        values = self._sources[source]
        return values.get(key.lower() if source == "header" else key, _MISSING)


def body_bytes(event: Mapping[str, Any]) -> bytes:
    """Return the body of an event as bytes.

    The platform passes bodies as text, and marks every text as base64 that happens to be, so that its mark says
    nothing. What the client declares does: ``Content-Transfer-Encoding: base64``.
    """
    body = event.get("body") or ""
    content = body if isinstance(body, bytes) else str(body).encode("utf-8", "surrogatepass")
    headers = event.get("headers") or {}
    encoding = next((headers[name] for name in headers if name.lower() == "content-transfer-encoding"), "")
    if str(encoding).lower() == "base64":
        import base64

        try:
            return base64.b64decode(content, validate=True)
        except ValueError:
            return content
    return content


def parse_cookies(header: str) -> dict[str, str]:
    """Return the cookies of a header; the first of a name counts, as in browsers the most specific one is first.

    >>> parse_cookies('a=1; b="x y"')
    {'a': '1', 'b': 'x y'}
    """
    cookies: dict[str, str] = {}
    for pair in header.replace(",", ";").split(";"):
        name, separator, value = pair.strip().partition("=")
        if separator and name:
            cookies.setdefault(name, value.strip('"'))
    return cookies


def decode_arguments(
    signature: TypedSignature, event: Mapping[str, Any], context: object, path: Mapping[str, str]
) -> tuple[dict[str, Any], Faults]:
    """Return the arguments of a call by name, without those that are left to their defaults; and all faults."""
    faults: Faults = []
    values = RequestValues(event, path)
    body = _Body(values, faults) if signature.body else None
    arguments: dict[str, Any] = {}
    for parameter in signature.parameters:
        match parameter.source:
            case "event":
                result: Any = event
            case "context":
                result = context
            case "body" if body is not None:
                result = body.decode(parameter)
            case source:
                result = _decode_value(parameter, values.get(source, parameter.key), faults)
        if result is not INVALID and result is not _MISSING:
            arguments[parameter.name] = result
    return arguments, faults


def _decode_value(parameter: Parameter, value: Any, faults: Faults) -> Any:
    location = (parameter.source, parameter.key)
    if value is not _MISSING:
        return parameter.decode(value, location, faults)
    if parameter.is_required:
        faults.append(Fault(location, "is missing", "missing"))
    return _MISSING


class _Body:
    """The body of a request: JSON, a form, or text. It is parsed once, and only if something needs it parsed."""

    def __init__(self, values: RequestValues, faults: Faults) -> None:
        self._content = body_bytes(values.event)
        # curl declares what -d sends as a form. A form encodes braces, so that what starts with one is JSON.
        self._is_form = values.content_type == _FORM and self._content.lstrip()[:1] not in (b"{", b"[")
        self._faults = faults
        self._parsed: Any = None
        self._is_parsed = False

    def decode(self, parameter: Parameter) -> Any:
        """Return the value of a parameter, ``INVALID``, or ``_MISSING``."""
        if parameter.is_raw:
            return self._decode_raw(parameter)
        document = self._document()
        if document is INVALID:
            return INVALID
        location = ("body", parameter.key) if parameter.key else ("body",)
        value = document
        if parameter.key and document is not _MISSING:
            if not isinstance(document, dict):
                self._add_once(Fault(("body",), "expected an object", "type"))
                return INVALID
            value = document.get(parameter.key, _MISSING)
        if value is not _MISSING:
            decode = parameter.decode_text if self._is_form else parameter.decode
            return decode(value, location, self._faults)
        if parameter.is_required:
            self._faults.append(Fault(location, "is missing", "missing"))
        return _MISSING

    def _decode_raw(self, parameter: Parameter) -> Any:
        if not self._content and not parameter.is_required:
            return _MISSING
        if _plain(parameter.hint) is bytes:
            return self._content
        text = self._content.decode("utf-8", "replace")
        return parameter.decode(text, ("body",), self._faults)

    def _document(self) -> Any:
        if not self._is_parsed:
            self._is_parsed = True
            self._parsed = self._parse()
        return self._parsed

    def _parse(self) -> Any:
        if not self._content.strip():
            return _MISSING
        if self._is_form:
            from urllib.parse import parse_qsl

            try:
                pairs = parse_qsl(self._content.decode("utf-8", "replace"), keep_blank_values=True)
            except ValueError as error:
                self._faults.append(Fault(("body",), f"expected a form: {error}", "value"))
                return INVALID
            form: dict[str, Any] = {}
            for name, value in pairs:
                form[name] = f"{form[name]},{value}" if name in form else value
            return form
        try:
            return json.loads(self._content, parse_constant=_refuse_constant)
        except RecursionError:
            reason = "it is nested too deeply"
        except json.JSONDecodeError as error:
            reason = f"{error.msg} at character {error.pos}"
        except ValueError:  # not UTF-8, NaN, or a number with thousands of digits
            reason = "it has a value that JSON or this program does not allow"
        self._faults.append(Fault(("body",), f"expected JSON: {reason}", "json"))
        return INVALID

    def _add_once(self, fault: Fault) -> None:
        if fault not in self._faults:
            self._faults.append(fault)


def _plain(hint: Any) -> Any:
    return hint.__origin__ if typing.get_origin(hint) is typing.Annotated else hint


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
