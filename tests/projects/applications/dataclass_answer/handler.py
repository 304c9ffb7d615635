"""Encodes objects in its own way, and answers with a string of JSON."""

import dataclasses
import datetime
import decimal
import json
import uuid


@dataclasses.dataclass(frozen=True)
class Order:
    id: uuid.UUID
    total: decimal.Decimal
    at: datetime.datetime
    tags: frozenset


class Encoder(json.JSONEncoder):
    def default(self, o):
        return sorted(o) if isinstance(o, frozenset) else str(o)


def handle(event, context):
    order = Order(uuid.UUID(int=1), decimal.Decimal("9.90"), datetime.datetime(2026, 1, 2), frozenset("ba"))
    text = json.dumps(dataclasses.asdict(order), cls=Encoder)
    return json.dumps({"statusCode": 202, "headers": {"X-Kind": "order"}, "body": text})
