"""Works in a directory that is deleted meanwhile."""

import os
import tempfile


def handle(event, context):
    before = os.getcwd()
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)
    try:
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x")
        os.getcwd()
    except FileNotFoundError:
        return {"body": "no directory"}
    finally:
        os.chdir(before)
