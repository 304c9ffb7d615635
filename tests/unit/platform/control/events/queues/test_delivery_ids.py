"""IDs of deliveries can be told apart by what a terminal shows of them."""

from __future__ import annotations

import uuid

from fnkit.platform.control.events.queues.consumer import IdGenerator


def test_ids_are_unique_from_their_first_eight_characters_on() -> None:
    generator = IdGenerator()
    ids = [generator.next() for _ in range(1000)]

    assert len({one[:8] for one in ids}) == len(ids)
    assert all(uuid.UUID(one).version == 4 and str(uuid.UUID(one)) == one for one in ids)
