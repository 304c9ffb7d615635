"""Keeps objects of its own in files."""

import os
import pickle
import shelve
import tempfile


class Order:
    def __init__(self, number):
        self.number = number


def handle(event, context):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "orders"), "wb") as file:
            pickle.dump([Order(1), Order(2)], file)
        with open(os.path.join(folder, "orders"), "rb") as file:
            orders = [order.number for order in pickle.load(file)]
        with shelve.open(os.path.join(folder, "shelf")) as shelf:
            shelf["order"] = Order(3)
        with shelve.open(os.path.join(folder, "shelf")) as shelf:
            return {"body": [*orders, shelf["order"].number, Order.__module__]}
