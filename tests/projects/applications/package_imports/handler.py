"""Imports its own packages, and a dependency."""

import importlib

import dependency
from shop import prices


def handle(event, context):
    late = importlib.import_module("shop.late")
    return {"body": [prices.total([1, 2]), late.NAME, dependency.__name__, __name__, prices.__package__]}
