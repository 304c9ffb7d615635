"""Writes text and names in UTF-8, without saying so."""

import locale
import os
import sys
import tempfile


def handle(event, context):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "naïve ☃.txt")
        with open(path, "w") as file:
            file.write("é")
        with open(path, "rb") as file:
            return {"body": [file.read().decode(), os.listdir(folder), sys.getfilesystemencoding(),
                             locale.getpreferredencoding(False).lower(), event["body"]]}
