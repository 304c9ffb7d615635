"""Handlers and the responses that they get, from the gateway and from the core runtime of an image alike."""

from __future__ import annotations

from typing import Final

FAILED: Final = "An error occured during handler execution: "

ECHO: Final = "def handle(event, context):\n    return {'body': [event, context]}\n"

RETURNING_HANDLER = """
import datetime, os, sys, threading

RETURNS = {
    "text": "hello",
    "document": {"body": {"a": 1}, "statusCode": 201, "headers": {"X-A": ["1", "2"]}},
    "message": {"message": "m"},
    "status": {"statusCode": 404},
    "none": None,
    "five": 5,
    "true": True,
    "tuple": (1, 2),
    "quoted": '"q"',
    "structured-text": '{"statusCode":202,"body":"x"}',
    "bytes": b"x",
    "set": {1},
    "date": datetime.datetime(2026, 1, 1),
    "nan": float("nan"),
    "surrogate": "\\ud800",
    "mixed-keys": {1: "a", "b": 2},
    "base64": {"body": "AAEC/w==", "isBase64Encoded": True, "headers": {"Content-Type": "image/png"}},
    "odd-headers": {"body": "x", "headers": {"X-Number": 5, "Access-Control-Allow-Origin": []}},
    "no-headers": {"body": "<p>x</p>", "headers": None},
}

def handle(event, context):
    return RETURNS[event["path"][1:]]
"""
"""Returns values of every type."""

RETURNED_VALUES: Final = [
    ("text", 200, b"hello"),
    ("document", 201, b'{"a":1}'),
    ("message", 200, b'{"message":"m"}\n'),
    ("status", 404, b'{"statusCode":404}\n'),
    ("none", 200, b""),
    ("five", 200, b"5\n"),
    ("true", 200, b"true\n"),
    ("tuple", 200, b"[1,2]\n"),
    ("quoted", 200, b"q"),
    ("structured-text", 202, b"x"),
    ("nan", 200, b"NaN\n"),
    ("mixed-keys", 200, b'{"1":"a","b":2}\n'),
    ("base64", 200, b"\x00\x01\x02\xff"),
]
"""What it returns, and the status and the body that a client gets."""

UNSERIALIZABLE: Final = ["bytes", "set", "date", "surrogate"]

RAISING_HANDLER = """
import os, signal, sys, threading

def recurse(): return recurse()

def handle(event, context):
    case = event["path"][1:]
    if case == "raise": raise ValueError("boom")
    if case == "empty": raise ValueError
    if case == "key": return {}["missing"]
    if case == "base": raise KeyboardInterrupt("stop")
    if case == "exit": sys.exit("bye")
    if case == "os-exit": os._exit(3)
    if case == "kill": os.kill(os.getpid(), signal.SIGKILL); os.abort()
    if case == "recursion": recurse()
    if case == "unprintable":
        class Bad(Exception):
            def __str__(self): raise RuntimeError
        raise Bad
    if case == "close-1": os.close(1); print("lost"); return "closed"
    if case == "close-all": os.closerange(0, 100); return "unreachable"
    if case == "thread":
        threading.Thread(target=lambda: threading.Event().wait(), daemon=False).start()
        return "thread started"
    return "fine"
"""
"""Raises, and ends its process."""

RAISED: Final = [
    ("raise", "boom"),
    ("empty", "ValueError"),
    ("key", "'missing'"),
    ("base", "stop"),
    ("exit", "SystemExit: bye"),
    ("recursion", "maximum recursion depth exceeded"),
    ("unprintable", "Bad"),
]
"""What it raises, and the start of the message that a client gets."""

BROKEN_MODULES: Final = [
    ("import no_such_module\n", "No module named 'no_such_module'"),
    ("raise RuntimeError('at import')\n", "at import"),
    ("x = = 1\n", "invalid syntax"),
    ("import sys; sys.exit(4)\n", "SystemExit: 4"),
    ("handle = 5\n", "Function Handler does not exist, check that you provided the right HANDLER parameter"),
    ("other = 5\n", "Function Handler does not exist"),
]
"""Sources that cannot be imported, and the start of the message that a client gets."""

DOCUMENT_HANDLER = """
RETURNS = {
    "number-body": {"body": 5},
    "null-body": {"body": None, "statusCode": 202},
    "text-status": {"statusCode": "201", "body": "x"},
    "capitals": {"StatusCode": 203, "BODY": "x"},
    "bad-base64": {"body": "not base64!", "isBase64Encoded": True},
    "empty-base64": {"body": "", "isBase64Encoded": True},
    "one-cors": {"body": "", "headers": {"Access-Control-Allow-Origin": "https://shop.example"}},
    "methods": {"body": "", "headers": {"Access-Control-Allow-Methods": "PUT"}},
    "both-types": {"body": "", "headers": {"content-type": "text/css"}},
    "one-type": {"body": "", "headers": {"Content-Type": "text/css"}},
    "mixed-headers": {"body": "", "headers": {"X-One": "1", "X-List": ["a", "b"], "X-None": [], "X-Bad": 5}},
    "bodiless": {"body": "x", "statusCode": 204},
    "bad-status": {"body": "x", "statusCode": 1000},
    "long-status": {"body": "x", "statusCode": 2**70},
    "endless-status": '{"body": "x", "statusCode": ' + "9" * 100000 + "}",
    "smuggled": {"body": "", "headers": {"X-A": "1\\r\\nX-B: 2", "X-Nul": "a\\0b", "Bad Name": "x",
                                         "Content-Length": "99"}},
    "whole": {"message": "m", "headers": {"X-A": "1"}},
}

def handle(event, context):
    return RETURNS[event["path"][1:]]
"""
"""Returns objects with the members of responses."""

RETURNED_DOCUMENTS: Final = [
    ("number-body", 200, b"5"),
    ("null-body", 202, b""),
    ("text-status", 200, b"x"),
    ("capitals", 203, b"x"),
    ("bad-base64", 500, b"illegal base64 data at input byte 3\n"),
    ("empty-base64", 200, b""),
    ("bodiless", 204, b""),
    ("bad-status", 500, b"invalid WriteHeader code 1000\n"),
    ("long-status", 200, b"x"),
    ("endless-status", 200, b"x"),
    ("whole", 200, b'{"headers":{"X-A":"1"},"message":"m"}\n'),
]
"""What it returns, and the status and the body that a client gets."""
