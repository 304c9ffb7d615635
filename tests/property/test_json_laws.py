"""JSON is decoded alike with msgspec and with the standard library alone, whatever a handler returns."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fnkit.contract.invocation import json_values, loose_json, strict_json
from fnkit.contract.invocation.response import map_response

SPACE: Final = st.sampled_from([b"", b"", b" ", b"\n\t\r ", b"\x0b", b"\xc2\xa0"])
STRINGS: Final = st.sampled_from(
    [
        *(b'"a"', b'"A"', b'"body"', b'"Body"', b'"headers"', b'"statusCode"', b'""', b'"\\n\\"\\\\\\/"'),
        *(b'"\xc3\xa9"', b'"\\u00e9"', b'"\\ud83d\\ude00"', b'"\\ud800"', b'"\\ude00\\ud800"', b'"\xff"'),
        *(b'"\xed\xa0\x80"', b'"\x7f"', b'"\\u0000"', b'"\n"', b'"\\x"', b'"\\u12g4"', b'"', b"'a'", b'"[{,"'),
        b'"' + b"\\n" * 700 + b'"',
    ]
)
SCALARS: Final = STRINGS | st.sampled_from(
    [
        *(b"0", b"-0", b"1", b"01", b"-", b"+1", b"1.", b".5", b"1.5", b"1e5", b"1E+05", b"1e", b"1e400"),
        *(b"-1e-400", b"9" * 50, b"9" * 5000, b"null", b"true", b"false", b"nul", b"truee", b"True", b"NaN"),
        *(b"Infinity", b"-Infinity", b"", b"x", b"//", b"\xef\xbb\xbf1"),
    ]
)


def containers(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    spaced = st.builds(lambda before, value, after: before + value + after, SPACE, inner, SPACE)
    member = st.builds(lambda name, space, value: name + space + b":" + value, STRINGS, SPACE, spaced)
    separator = st.sampled_from([b",", b",", b",", b"", b",,"])
    ends = st.sampled_from([(b"[", b"]"), (b"{", b"}"), (b"[", b"}"), (b"{", b",}"), (b"{", b"]"), (b"{", b"")])
    return st.builds(
        lambda items, comma, pair: pair[0] + comma.join(items) + pair[1],
        st.lists(spaced, max_size=4) | st.lists(member, max_size=4),
        separator,
        ends,
    )


VALID: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)
DOCUMENTS: Final = (
    st.recursive(SCALARS, containers, max_leaves=12)
    | st.builds(lambda value, ascii_only: json.dumps(value, ensure_ascii=ascii_only).encode(), VALID, st.booleans())
    | st.binary()
)


def as_bytes(members: object) -> object:
    return [(name, bytes(value)) for name, value in members.items()] if isinstance(members, dict) else members


def assert_same(raw: bytes) -> None:
    assert loose_json.decode_string(raw) == strict_json.decode_string(raw)
    assert as_bytes(loose_json.decode_members(raw)) == as_bytes(strict_json.decode_members(raw))
    assert loose_json.decode_texts(raw) == strict_json.decode_texts(raw)


@given(raw=DOCUMENTS, is_object=st.booleans())
@example(raw=b'{"a":1]', is_object=False)
@example(raw=b'{"a":["b"}', is_object=False)
@example(raw=b'{"a":1', is_object=False)
@example(raw=b'{"a" 1}', is_object=False)
@example(raw=b'{"a":1 "b":2}', is_object=False)
@example(raw=b'{"a":1}x', is_object=False)
@example(raw=b"{ }", is_object=False)
def test_exactly_the_objects_of_json_have_members(raw: bytes, *, is_object: bool) -> None:
    document = b'{"k":' + raw + b"}" if is_object else raw
    for decode in (loose_json.decode_members, strict_json.decode_members):
        members = decode(document)
        assert (members is not None) == isinstance(parsed(document), dict)
        values = [*map(bytes, (members or {}).values())]
        assert [value for value in values if value != b"null" and parsed(value) is None] == []


def parsed(raw: bytes) -> object:
    """Return what the standard library parses, with a character for each byte; ``None`` if the JSON is invalid."""
    try:
        return json.loads(raw.decode("latin-1"), parse_int=len, parse_float=len, parse_constant=reject)
    except ValueError:
        return None


def reject(name: str) -> object:
    raise ValueError(name)


@given(raw=DOCUMENTS, is_object=st.booleans())
@example(raw=b'{"a":1,"A":2,"a":3}', is_object=False)
@example(raw=b'{"a":{"b":[1,{"c":"\xff\\ud800"}]}}', is_object=False)
@example(raw=b"[" * 100_000 + b"]" * 100_000, is_object=True)
@example(raw=b'{"":' * 100_000, is_object=False)
def test_both_decoders_agree(raw: bytes, *, is_object: bool) -> None:
    assert_same(b'{"k":' + raw + b"}" if is_object else raw)


@given(raw=DOCUMENTS, is_object=st.booleans())
@example(raw=b"[" * 900 + b"]" * 900, is_object=True)
@example(raw=b"[" * 100_000 + b"]" * 100_000, is_object=True)
@example(raw=b'[[1,{"a":[{}]},[]],"x"]', is_object=True)
@example(raw=b"[[1]x[2]]", is_object=True)
@example(raw=b'[[1,{"a":[{}]}},[]],"x"]', is_object=True)
@example(raw=b'[[1 {"a":[{}]},[]],"x"]', is_object=True)
@example(raw=b'[[{"a" [{}]},[]],"x"]', is_object=True)
@example(raw=b'[[{"a":[{}],},[]],"x"]', is_object=True)
def test_scanning_and_decoding_find_the_same_members(raw: bytes, *, is_object: bool) -> None:
    document = b'{"k":' + raw + b"}" if is_object else raw
    assert members_by(document, loose_json._end_by_scanning) == members_by(document, loose_json._end_by_decoding)


def members_by(raw: bytes, end_of_value: Callable[[str, int], int]) -> dict[str, bytes] | None:
    document = loose_json._Document(raw)
    document._end_of_value = end_of_value
    try:
        return dict(document.members())
    except ValueError:
        return None


@given(DOCUMENTS)
def test_response_is_the_same_without_msgspec(raw: bytes) -> None:
    body = b'{"body":' + raw + b',"headers":' + raw + b"}"
    with pytest.MonkeyPatch.context() as patch:
        mapped = map_response(200, [], body)
        for name in json_values.__all__:
            patch.setattr(f"fnkit.contract.invocation.response.{name}", getattr(loose_json, name))
        assert map_response(200, [], body) == mapped


@pytest.mark.parametrize(
    ("item", "count"),
    [
        (b"[]", 110_000),
        (b"1", 210_000),
        (b'"ab"', 210_000),
        (b'{"k":1,"b":"x"}', 80_000),
        (b'[[1,"a"],{}]', 60_000),
        (b"[[[1]]]", 60_000),
    ],
)
def test_members_of_documents_with_many_values_are_slices(item: bytes, count: int) -> None:
    value = b"[" + b" , ".join([item] * count) + b"]"
    assert loose_json.decode_members(b'{"a":' + value + b',"b":2}') == {"a": value, "b": b"2"}
    assert loose_json.decode_members(b'{"a":' + value[:-1] + b',],"b":2}') is None


@pytest.mark.long
def test_documents_that_take_too_long_are_no_objects() -> None:
    assert loose_json.decode_members(b'{"a":[' + b"[[[[1]]]]," * 500_000 + b"1]}") is None
