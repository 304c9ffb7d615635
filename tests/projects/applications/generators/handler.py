"""Produces its answer lazily."""

import itertools


def rows():
    for number in itertools.count(1):
        yield f"row {number}"


def handle(event, context):
    return {"body": "\n".join(itertools.islice(rows(), 3)), "headers": {"Content-Type": "text/csv"}}
