"""Uses each kind of temporary file."""

import os
import tempfile


def handle(event, context):
    with tempfile.NamedTemporaryFile("w+", suffix=".txt") as named, tempfile.SpooledTemporaryFile(4) as spooled:
        named.write("named")
        named.flush()
        spooled.write(b"larger than memory")
        with open(named.name) as again, tempfile.TemporaryDirectory() as folder:
            found = [again.read(), os.listdir(folder)]
        spooled.seek(0)
        return {"body": [*found, os.path.exists(folder), spooled.read().decode()]}
