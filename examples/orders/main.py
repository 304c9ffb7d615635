"""Messages of a queue: each one on the subject `orders.created` becomes a call of `on_order`."""

import json

from fnkit import Context, Event, Response, function, trigger

PRICES = {"TEA": 450, "CUP": 1200}  # cents


@trigger(nats="orders.created")  # on Scaleway, account="A…" says in which NATS account
@function(memory=128, max_scale=5, privacy="private")
def on_order(event: Event, context: Context) -> Response:
    """Price an order. A message that is answered with 300 or more is tried again, four times in all."""
    order = json.loads(event["body"])
    unknown = sorted({line["sku"] for line in order["lines"]} - PRICES.keys())
    if unknown:
        return {"statusCode": 422, "body": f"nobody sells {', '.join(unknown)}"}
    total = sum(PRICES[line["sku"]] * line["quantity"] for line in order["lines"])
    print(f"order {order['id']}: {total / 100:.2f} €")
    return {"statusCode": 200, "body": json.dumps({"id": order["id"], "total": total})}
