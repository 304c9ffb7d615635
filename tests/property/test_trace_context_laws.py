"""W3C Trace Context: the parser agrees with a direct implementation of the Recommendation."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.platform.data_plane.gateway.tracing import TraceContext, parse_trace_context, strip_trace_context

TRACE = "0123456789abcdef0123456789abcdef"
SPAN = "1234567890abcdef"
VALID = f"00-{TRACE}-{SPAN}-01"

KEY_CHARACTERS = set(string.ascii_lowercase + string.digits + "_-*/")
VALUE_CHARACTERS = {chr(code) for code in range(0x20, 0x7F)} - {",", "="}


def lower_hexadecimal(text: str) -> bool:
    return all(character in "0123456789abcdef" for character in text)


def expected_parent(value: str) -> tuple[str, str, bool] | None:
    """§3.2.2 and §4.3: trace id, parent id, sampled."""
    value = value.strip(" \t")
    version, trace, parent, flags, rest = value[0:2], value[3:35], value[36:52], value[53:55], value[55:]
    if not (len(value) >= 55 and value[2] == value[35] == value[52] == "-"):
        return None
    if not all(map(lower_hexadecimal, (version, trace, parent, flags))):
        return None
    if version == "ff" or trace == "0" * 32 or parent == "0" * 16:
        return None
    if version == "00" and rest:
        return None
    if rest and not rest.startswith("-"):
        return None
    return trace, parent, int(flags, 16) % 2 == 1


def is_valid_key(key: str) -> bool:
    """§3.3.1.3.1: a simple key, or tenant@system."""
    tenant, at, system = key.partition("@")
    if not at:
        return 1 <= len(key) <= 256 and key[0] in string.ascii_lowercase and set(key) <= KEY_CHARACTERS
    return (
        1 <= len(tenant) <= 241
        and tenant[0] in string.ascii_lowercase + string.digits
        and set(tenant) <= KEY_CHARACTERS
        and 1 <= len(system) <= 14
        and system[0] in string.ascii_lowercase
        and set(system) <= KEY_CHARACTERS
    )


def is_valid_value(value: str) -> bool:
    """§3.3.1.3.2: up to 256 printable characters, the last one not a space."""
    return 1 <= len(value) <= 256 and set(value) <= VALUE_CHARACTERS and value[-1] != " "


def expected_state(values: list[str]) -> str:
    members = [member.strip(" \t") for member in ",".join(values).split(",")]
    members = [member for member in members if member]
    for member in members:
        key, equals, value = member.partition("=")
        if not (equals and is_valid_key(key) and is_valid_value(value)):
            return ""
    return ",".join(members) if len(members) <= 32 else ""


def read(parents: list[str], states: list[str] | None = None) -> TraceContext | None:
    headers = [(b"traceparent", parent.encode("latin-1")) for parent in parents]
    headers += [(b"tracestate", state.encode("latin-1")) for state in states or []]
    return parse_trace_context([(b"host", b"x"), *headers, (b"accept", b"*/*")])


fields = st.builds(
    "-".join,
    st.tuples(
        st.sampled_from(["00", "01", "cc", "fe", "ff", "0", "000", "0G", "0A"])
        | st.text("0123456789abcdef", max_size=2),
        st.sampled_from([TRACE, "0" * 32, TRACE.upper(), TRACE[:-1], TRACE + "0", "0" * 31 + "1"]),
        st.sampled_from([SPAN, "0" * 16, SPAN.upper(), SPAN[:-1], SPAN + "0", "0" * 15 + "1"]),
        st.sampled_from(["00", "01", "02", "03", "ff", "fe", "0", "001", ".0"]),
    ),
)
ends = st.sampled_from(
    ["", "-", "-what-the-future-will-be-like", ".what-it-will-not-be-like", " ", "\t", "é", "-é", "01"]
)
starts = st.sampled_from(["", " ", "\t", "x", "-"])
parents = st.builds(lambda a, b, c: a + b + c, starts, fields, ends) | st.text(
    st.characters(max_codepoint=255), max_size=60
)


@given(parents)
def test_traceparent_is_parsed_as_the_recommendation_defines(value: str) -> None:
    expected = expected_parent(value)
    context = read([value])
    assert (context and (context.trace_id, context.parent_id, context.is_sampled)) == expected


members = st.builds(
    lambda key, equals, value: key + equals + value,
    st.sampled_from(
        [
            "foo",
            "f",
            "1foo",
            "1a-2f@foo",
            "foo@",
            "@foo",
            "foo@@bar",
            "a@b@c",
            "FOO",
            "foo.bar",
            "foo ",
            "a" * 256,
            "a" * 257,
            "t" * 241 + "@" + "v" * 14,
            "t" * 242 + "@v",
            "t@" + "v" * 15,
            "",
            "a_-*/",
        ]
    ),
    st.sampled_from(["=", "=", "=", "", "=="]),
    st.sampled_from(["1", "a b", " a", "a ", "", "~!", "v" * 256, "v" * 257, "é", "\x7f"]),
)
lists = st.lists(st.one_of(members, st.sampled_from(["", " ", "\t", "a=1", "b@c=2 "])), max_size=40).map(",".join)


@given(st.lists(lists, max_size=3))
def test_tracestate_is_kept_if_valid_and_dropped_otherwise(values: list[str]) -> None:
    context = read([VALID], values)
    assert context is not None
    assert context.tracestate.decode("latin-1") == expected_state(values)


@given(parents, st.lists(lists, max_size=2))
def test_propagated_headers_parse_to_the_same_context(value: str, states: list[str]) -> None:
    context = read([value], states)
    if context is not None:
        again = parse_trace_context(context.headers())
        assert again == context


@given(parents, st.lists(lists, max_size=2), st.sampled_from(["00f067aa0ba902b7", "f" * 16]))
def test_child_headers_keep_trace_id_flag_and_state_in_version_00(value: str, states: list[str], span: str) -> None:
    context = read([value], states)
    if context is not None:
        headers = context.child_headers(span)
        again = parse_trace_context(headers)
        assert again is not None
        assert headers[0][1].startswith(b"00-")
        assert (again.trace_id, again.parent_id, again.is_sampled, again.tracestate) == (
            context.trace_id,
            span,
            context.is_sampled,
            context.tracestate,
        )


@pytest.mark.parametrize("values", [[], [VALID, VALID], [VALID, "x"]], ids=["none", "duplicate", "two"])
def test_missing_or_repeated_traceparent_yields_no_context(values: list[str]) -> None:
    assert read(values, ["a=1"]) is None


def test_multiple_tracestate_headers_are_joined_in_order() -> None:
    context = read([VALID], ["a=1, b=2", "", "c=3"])
    assert context is not None
    assert context.tracestate == b"a=1,b=2,c=3"


@pytest.mark.parametrize(("count", "kept"), [(32, 32), (33, 0)])
def test_tracestate_with_more_than_32_members_is_dropped(count: int, kept: int) -> None:
    context = read([VALID], [",".join(f"a{number}=1" for number in range(count))])
    assert context is not None
    assert len([member for member in context.tracestate.split(b",") if member]) == kept


def test_stripping_trace_headers_keeps_all_others() -> None:
    headers = [(b"a", b"1"), (b"traceparent", b"x"), (b"b", b"2"), (b"tracestate", b"y"), (b"a", b"3")]
    assert strip_trace_context(headers) == [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]
