"""Orders over HTTP become NATS messages; each is priced by one function, and shipped by the next, from an SQS queue."""

import asyncio
import json
import os

import boto3
import nats

from fnkit import Context, Event, Response, function, trigger

PRICES = {"tea": 4, "milk": 2, "honey": 9}
STREAM = "ORDERS"
QUEUE_SECRETS = ["SQS_ENDPOINT", "SQS_ACCESS_KEY", "SQS_SECRET_KEY"]


async def publish(subject: str, message: dict[str, object]) -> None:
    """Store a message in the stream, which exists afterwards."""
    client = await nats.connect(os.environ["NATS_URL"])
    try:
        stream = client.jetstream()
        await stream.add_stream(name=STREAM, subjects=["orders.*"])
        await stream.publish(subject, json.dumps(message).encode())
    finally:
        await client.close()


def enqueue(message: dict[str, object]) -> None:
    """Send a message to the queue of priced orders."""
    client = boto3.client(
        "sqs",
        endpoint_url=os.environ["SQS_ENDPOINT"],
        region_name="fr-par",
        aws_access_key_id=os.environ["SQS_ACCESS_KEY"],
        aws_secret_access_key=os.environ["SQS_SECRET_KEY"],
    )
    url = client.get_queue_url(QueueName="priced")["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody=json.dumps(message))


@function(memory=256, secrets=["NATS_URL"])
def order(event: Event, context: Context) -> Response:
    """Take an order: `{"item": "tea", "amount": 2}`."""
    try:
        wanted = json.loads(event["body"])
        message = {"item": wanted["item"], "amount": int(wanted["amount"])}
    except (ValueError, KeyError, TypeError) as error:
        return {"statusCode": 400, "body": f"not an order: {error!r}"}
    asyncio.run(publish("orders.new", message))
    print("ordered", message["amount"], message["item"])
    return {"statusCode": 202, "body": "taken"}


@trigger(nats="orders.new", name="orders")
@function(memory=256, secrets=QUEUE_SECRETS)
def price(event: Event, context: Context) -> Response:
    """Compute the total, and pass the order on."""
    message = json.loads(event["body"])
    total = PRICES[message["item"]] * message["amount"]
    enqueue({**message, "total": total})
    print("priced", message["item"], total)
    return {"statusCode": 200, "body": str(total)}


@trigger(sqs="priced", name="priced")
@function(memory=128)
def ship(event: Event, context: Context) -> Response:
    """Ship an order."""
    message = json.loads(event["body"])
    print("shipped", message["amount"], message["item"], "for", message["total"])
    return {"statusCode": 200, "body": "shipped"}
