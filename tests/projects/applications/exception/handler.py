"""Raises an error of its own."""


class OrderError(Exception):
    pass


def handle(event, context):
    raise OrderError("order 7 is unknown")
