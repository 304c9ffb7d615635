"""Deduplication of NATS messages that a queue subscription and a new stream on its subject both receive."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fnkit.platform.control.events.queues.nats.core import ReceivedIds


def test_stream_copy_has_the_id_of_the_received_message() -> None:
    received = ReceivedIds()
    message_id = received.add("signups", b"Ada")
    overlap = received.overlap(0, 1, (1, 1))
    assert [overlap.find(1, "signups", b"Ada") for _ in range(2)] == [message_id] * 2
    assert overlap.find(2, "signups", b"Ada") is None


def test_message_on_another_subject_is_not_a_copy() -> None:
    received = ReceivedIds()
    received.add("signups.a", b"Ada")
    assert received.overlap(0, 1, (1, 1)).find(1, "signups.b", b"Ada") is None


def test_forgotten_messages_match_no_copy() -> None:
    received = ReceivedIds()
    received.add("signups", b"Ada")
    received.forget_first(received.count)
    assert received.overlap(1, 1, (1, 1)).find(1, "signups", b"Ada") is None


BODIES = st.lists(st.sampled_from("ab"), max_size=6)


@given(before=BODIES, both=BODIES, slow=BODIES, drained=BODIES, gap=BODIES, later=BODIES, data=st.data())
def test_copies_are_matched_once_and_stream_only_messages_never(
    before: list[str],
    both: list[str],
    slow: list[str],
    drained: list[str],
    gap: list[str],
    later: list[str],
    data: st.DataObject,
) -> None:
    """Messages arrive in this order.

    ``before`` there is a stream; ``both`` by subscription and stream; ``slow`` likewise, but the stream stores some
    of them only after its sequence was read; ``drained`` after it was read; ``gap`` after the subscription ended
    but before the sequence was read again; ``later`` after that.
    """
    received = ReceivedIds()
    for body in before + both:
        received.add("s", body.encode())
    stored_from = received.count
    for body in slow:
        received.add("s", body.encode())
    read_at = received.count
    for body in drained:
        received.add("s", body.encode())
    stream = both + slow + drained + gap + later
    first_read = len(both) + data.draw(st.integers(0, len(slow)))
    overlap = received.overlap(stored_from, read_at, (first_read, len(stream) - len(later)))
    found = [overlap.find(number, "s", body.encode()) for number, body in enumerate(stream, 1)]

    ids = [message_id for message_id in found if message_id is not None]
    assert len(ids) == len(set(ids))
    matched = Counter(body for body, message_id in zip(stream, found, strict=True) if message_id is not None)
    copies = Counter(both + slow + drained)
    assert matched <= copies
    if first_read == len(both + slow):
        assert matched == copies
