"""Keeps the number of a request in a context variable."""

import contextvars
from concurrent.futures import ThreadPoolExecutor

request = contextvars.ContextVar("request", default="none")


def handle(event, context):
    before = request.get()
    token = request.set(event["body"])
    with ThreadPoolExecutor() as pool:
        inside = pool.submit(contextvars.copy_context().run, request.get).result()
        outside = pool.submit(request.get).result()
    request.reset(token)
    return {"body": [before, inside, outside, request.get()]}
