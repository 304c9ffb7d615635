"""Writes to /tmp by name."""

import os
import uuid


def handle(event, context):
    path = "/tmp/" + uuid.uuid4().hex
    try:
        with open(path, "w") as file:
            file.write("temporary")
        with open(path) as file:
            return {"body": file.read()}
    except OSError as error:
        return {"body": type(error).__name__}
    finally:
        if os.path.exists(path):
            os.unlink(path)
