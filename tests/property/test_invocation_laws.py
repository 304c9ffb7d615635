"""The event and response rules, for any request and any response."""

from __future__ import annotations

import base64
import binascii
import json
import re

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from fnkit.contract.invocation.event import build_event, canonical_header, decode_text, encode_text, is_base64
from fnkit.contract.invocation.response import map_response, needs_complete_body

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
HEADERS = st.lists(st.tuples(st.text(st.characters(codec="ascii"), max_size=12), st.text(max_size=12)), max_size=5)


@given(method=st.sampled_from(["GET", "POST"]), query=st.text(), headers=HEADERS, body=st.binary())
def test_event_of_any_request_survives_json(
    method: str, query: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    event = build_event(
        method=method,
        path="/",
        query=query.encode("utf-8", "replace").decode("latin-1"),
        headers=[(name, value.encode("utf-8", "replace").decode()) for name, value in headers],
        body=body,
    )
    assert json.loads(msgspec.json.encode(event)) == event


@given(st.binary())
def test_any_worker_output_maps_to_a_valid_status(answer: bytes) -> None:
    mapped = map_response(200, [("content-type", "application/json")], answer)
    assert 200 <= mapped.status <= 999


@given(JSON_VALUES)
def test_headers_of_any_json_contain_no_line_breaks(value: object) -> None:
    mapped = map_response(200, [], json.dumps({"statusCode": 200, "headers": value, "body": value}).encode())
    assert all("\n" not in text and "\r" not in text for line in mapped.headers for text in line)


@given(JSON_VALUES.filter(lambda value: not isinstance(value, str) and value is not None))
def test_non_string_body_is_returned_as_its_json(value: object) -> None:
    raw = json.dumps(value).encode()
    assert map_response(200, [], b'{"body":' + raw + b"}").body == raw


@given(st.text())
def test_string_body_is_returned_as_utf_8(text: str) -> None:
    document = json.dumps({"body": text}).encode()
    assert map_response(200, [], document).body == text.encode("utf-8", "replace")


@given(st.binary())
def test_base64_body_is_returned_decoded(data: bytes) -> None:
    document = json.dumps({"body": base64.b64encode(data).decode(), "isBase64Encoded": True}).encode()
    assert map_response(200, [], document).body == data


@given(st.binary())
@example(b"plain")
def test_body_streamed_by_its_first_byte_is_unchanged_by_the_mapping(answer: bytes) -> None:
    start = answer.lstrip(b" \t\r\n")
    if start and not needs_complete_body(start[0]):
        assert map_response(200, [], answer).body == answer


@given(st.binary().map(base64.b64encode) | st.binary())
def test_is_base64_accepts_every_encoder_output_and_only_valid_base64(body: bytes) -> None:
    if is_base64(body):
        binascii.a2b_base64(body)
    if body == base64.b64encode(binascii.a2b_base64(body) if is_base64(body) else b"?"):
        assert is_base64(body)


@given(st.text(st.sampled_from("abcABC-xyz0"), min_size=1))
def test_canonical_header_is_idempotent_and_ignores_case(name: str) -> None:
    once = canonical_header(name)
    assert canonical_header(once) == once
    assert canonical_header(name.upper()) == once


def replace_each_invalid_byte(raw: bytes) -> str:
    return re.sub("[\udc80-\udcff]", "\ufffd", raw.decode("utf-8", "surrogateescape"))


UTF_8_FRAGMENTS = st.sampled_from(
    [b"?", b"\0", b"\n", b'"', b"\\", b"\xc3\xa9", b"\xe2\x82", b"\xf0\x9f\x98\x80", b"\xff"]
)


@given(st.lists(st.binary(max_size=4) | UTF_8_FRAGMENTS, max_size=20))
def test_each_invalid_byte_is_replaced_however_the_text_is_split(pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    expected = replace_each_invalid_byte(raw)
    assert decode_text(raw) == expected
    assert json.loads(b"".join(encode_text(pieces))) == expected
