"""Reads data files of a package and beside the code."""

import importlib.resources
import os


def handle(event, context):
    with open(os.path.join(os.path.dirname(__file__), "texts", "title.txt")) as file:
        beside = file.read().strip()
    packaged = importlib.resources.files("texts").joinpath("title.txt").read_text().strip()
    return {"body": [beside, packaged, os.path.exists("texts/title.txt")]}
