"""A message's request is completed from a form; it is the one that the rules of any request make."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from fnkit.platform.data_plane.gateway.deliveries import (
    DELIVERY_CLIENT_HOST,
    InvocationTemplates,
    build_http_request,
)
from fnkit.platform.data_plane.gateway.request import encode_invocation
from fnkit.platform.model.delivery_protocol import DeliveryRequest
from fnkit.platform.model.routing import Route

FORMS = InvocationTemplates()  # kept over all examples: one must not show in another
ROUTES = st.builds(SimpleNamespace, memory=st.sampled_from([128, 256]), name=st.sampled_from(["f", 'g"\\']))
BODIES = (
    st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | st.sampled_from([b"", b"hello===", b"aGk="])
)
TYPES = st.sampled_from([b"application/json", b"text/plain; charset=utf-8", b'odd"\\', "é".encode("latin-1")])
IDS = st.uuids().map(str)


@given(ROUTES, TYPES, BODIES, IDS)
def test_a_completed_form_is_what_a_client_would_have_sent(
    route: SimpleNamespace, content_type: bytes, body: bytes, request_id: str
) -> None:
    post, same = DeliveryRequest(b"f.localhost", content_type, body), cast("Route", route)
    plain = encode_invocation(
        build_http_request(post),
        same,
        "/",
        "",
        request_id=request_id,
        client_host=DELIVERY_CLIENT_HOST,
        hide_credentials=False,
    )

    assert json.loads(FORMS.encode(same, post, request_id)) == json.loads(plain)
