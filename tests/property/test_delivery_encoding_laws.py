"""A message produces the event that the same request of an HTTP client would produce."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from fnkit.platform.data_plane.body_buffer import BodyBuffer, BodyMemory
from fnkit.platform.data_plane.gateway.request import (
    ClientRequest,
    encode_delivery,
    encode_invocation,
)
from fnkit.platform.model.delivery_protocol import DeliveryRequest
from fnkit.platform.model.routing import Route

ROUTES = st.builds(
    SimpleNamespace,
    language=st.sampled_from(["Python", "Go"]),
    memory=st.sampled_from([128, 256]),
    name=st.sampled_from(["f", 'g"\\']),
)
BODIES = (
    st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | st.sampled_from([b"", b"hello===", b"aGk="])
)
TYPES = st.sampled_from([b"application/json", b"text/plain; charset=utf-8", b'odd"\\', "é".encode("latin-1")])
IDS = st.uuids().map(str)


@given(ROUTES, TYPES, BODIES, IDS)
def test_message_event_equals_that_of_an_equal_http_request(
    route: SimpleNamespace, content_type: bytes, body: bytes, request_id: str
) -> None:
    delivery, typed_route = DeliveryRequest(b"f.localhost", content_type, body), cast("Route", route)
    request = ClientRequest.from_delivery(delivery)
    request.body = BodyBuffer(BodyMemory())
    request.body.append(body)
    request.id = request_id
    http_event = encode_invocation(request, typed_route, "/", "", hide_credentials=False)

    assert isinstance(http_event, bytes)
    message_event = encode_delivery(delivery, typed_route, request_id)
    if route.language == "Go":
        assert message_event == http_event
    else:
        assert json.loads(message_event) == json.loads(http_event)
