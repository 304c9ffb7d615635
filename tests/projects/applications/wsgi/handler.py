"""Passes events to a WSGI application."""

import io
import sys
from wsgiref.util import setup_testing_defaults


def application(environ, start_response):
    start_response("203 Non-Authoritative Information", [("X-Method", environ["REQUEST_METHOD"])])
    return [environ["PATH_INFO"].encode(), b"?", environ["QUERY_STRING"].encode(), environ["wsgi.input"].read()]


def handle(event, context):
    answer = {}
    environ = {
        "REQUEST_METHOD": event["httpMethod"], "PATH_INFO": event["path"],
        "QUERY_STRING": "&".join(f"{name}={value}" for name, value in event["queryStringParameters"].items()),
        "wsgi.input": io.BytesIO(event["body"].encode()), "wsgi.errors": sys.stderr,
    }
    setup_testing_defaults(environ)

    def start_response(status, headers):
        answer.update(statusCode=int(status.split()[0]), headers=dict(headers))

    body = b"".join(application(environ, start_response))
    return {**answer, "body": body.decode()}
