"""Caches in the home directory."""

import os
import pathlib


def handle(event, context):
    cache = pathlib.Path("~/.cache/application").expanduser()
    cache.mkdir(parents=True, exist_ok=True)
    entry = cache / "entry"
    known = entry.exists()
    entry.write_text(event["body"])
    return {"body": [known, entry.read_text(), pathlib.Path.home() == pathlib.Path(os.environ["HOME"])]}
