"""Prints."""

import os
import sys


def handle(event, context):
    print("to stdout", end="")
    sys.stdout.write(" in parts\n")
    print("to stderr", file=sys.stderr)
    os.write(1, b"to the descriptor\n")
    print("é ☃")
    return {"body": [sys.stdout.encoding, sys.stdin.read()]}
