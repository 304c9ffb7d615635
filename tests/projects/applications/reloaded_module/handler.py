"""Writes a module, and reloads it when it has changed."""

import importlib
import os
import sys
import tempfile

folder = tempfile.mkdtemp()
sys.path.insert(0, folder)


def write(text):
    with open(os.path.join(folder, "generated.py"), "w") as file:
        file.write(text)
    importlib.invalidate_caches()


def handle(event, context):
    write("VALUE = 1\n")
    module = importlib.import_module("generated")
    first = module.VALUE
    write("VALUE = 'second'\n")
    return {"body": [first, importlib.reload(module).VALUE]}
