"""The total of an order, with the tax of each line."""

import json
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from fnkit import function

CENT = Decimal("0.01")


@function(memory=128)
def total(event, context):
    """Add up the lines of an order: POST ``{"lines": [{"price": "9.90", "count": 2, "tax": "20"}]}``."""
    try:
        lines = json.loads(event["body"])["lines"]
        net = [Decimal(str(line["price"])) * int(line["count"]) for line in lines]
        tax = [amount * Decimal(str(line["tax"])) / 100 for amount, line in zip(net, lines, strict=True)]
    except (ValueError, KeyError, TypeError, InvalidOperation):
        return {"statusCode": 422, "body": {"error": "expected lines with price, count and tax"}}
    return {"body": {"net": _rounded(net), "tax": _rounded(tax), "total": _rounded(net + tax)}}


def _rounded(amounts):
    return str(sum(amounts, Decimal(0)).quantize(CENT, ROUND_HALF_UP))
