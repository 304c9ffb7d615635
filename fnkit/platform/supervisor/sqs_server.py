"""The platform's own SQS endpoint: moto's server on loopback, which knows queues only, with generated keys.

The package ``moto`` comes with the extra ``queues``. Its queues are in memory. Run as a process, the module reads
``ProcessSettings`` as JSON from standard input and serves the sockets that the supervisor opened.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterable
from hmac import compare_digest
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from fnkit.errors import PlatformError
from fnkit.platform.control.store.private_file import write_private_file
from fnkit.platform.listening_sockets import inherit
from fnkit.platform.model.settings import ProcessSettings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

SQS_HOST: Final = "127.0.0.1"
_PACKAGES: Final = ("moto", "flask", "flask_cors")
_CREDENTIAL: Final = re.compile(r"\bCredential=([^/\s,]+)/")
_RECHECK_SECONDS: Final = 0.005


class SqsServerKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of the endpoint. It checks the access key of a request, and no signature."""

    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        """Omit both: the access key alone opens the endpoint."""
        return "SqsServerKeys()"


def is_sqs_server_installed() -> bool:
    """Return whether the packages of the endpoint are installed. None is imported."""
    return all(find_spec(name) is not None for name in _PACKAGES)


def load_or_create_sqs_keys(file: Path) -> SqsServerKeys:
    """Read the keys of the endpoint, or create and store them (0600). The caller holds the platform's lock.

    Raises:
        PlatformError: ``identity-unreadable`` if the file is invalid.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=SqsServerKeys)
    except FileNotFoundError:
        made = SqsServerKeys(access_key=secrets.token_hex(16), secret_key=secrets.token_hex(16))
        write_private_file(file, msgspec.json.encode(made))
        return made
    except (OSError, msgspec.MsgspecError):
        raise PlatformError(
            f"{file} does not hold the keys of the SQS endpoint.",
            code="identity-unreadable",
            hint="Remove the file to create new keys.",
        ) from None


def own_sqs_endpoint(port: int) -> str:
    """Return the URL of the endpoint; empty if there is none, which is at port 0."""
    return f"http://{SQS_HOST}:{port}" if port else ""


def with_access_key(application: WSGIApplication, access_key: str) -> WSGIApplication:
    """Return an application that rejects requests with another access key, as SQS does.

    Other users of the machine can connect to a loopback port, and a message calls a function.
    """

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        if found is not None and compare_digest(found.group(1).encode(), access_key.encode()):
            return application(environ, start_response)
        code, text = "InvalidClientTokenId", "The security token included in the request is invalid."
        body = json.dumps({"__type": f"com.amazon.coral.service#{code}", "message": text}).encode()
        headers = [("Content-Type", "application/x-amz-json-1.0"), ("Content-Length", str(len(body)))]
        start_response("403 Forbidden", [*headers, ("x-amzn-query-error", f"{code};Sender")])
        return [body]

    return guarded


def serialize_receives() -> None:
    """Make moto look for messages in one request at a time, so that message groups stay in order.

    moto reads which groups are in progress before it looks for messages, and locks neither. Of two requests at
    once, one can receive the second message of a group before the other has received the first.
    """
    from moto.sqs.models import SQSBackend

    unlocked_receive: Callable[..., list[Any]] = SQSBackend.receive_message
    lock = threading.Lock()

    def receive_message(
        backend: SQSBackend, queue_name: str, count: int, wait_seconds: int, *more: object, **named: object
    ) -> list[Any]:
        end = time.monotonic() + wait_seconds
        while True:
            with lock:
                received = unlocked_receive(backend, queue_name, count, 0, *more, **named)
            if received or time.monotonic() >= end:
                return received
            backend.get_queue(queue_name).wait_for_messages(1)
            time.sleep(_RECHECK_SECONDS)  # messages of a group in progress end the wait above at once

    setattr(SQSBackend, "receive_message", receive_message)  # noqa: B010  mypy takes an assignment for a mistake


def main() -> int:
    """Serve until SIGTERM."""
    settings = msgspec.json.decode(sys.stdin.buffer.read(), type=ProcessSettings)
    # Read by moto when it is imported, and the regions of Scaleway are none of AWS.
    os.environ["MOTO_ALLOW_NONEXISTENT_REGION"] = "true"
    from moto.moto_server.werkzeug_app import create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for each request otherwise
    serialize_receives()
    application = with_access_key(create_backend_app("sqs"), settings.queues.sqs_access_key)
    servers = []
    for listener in inherit(settings.listening.sqs):
        listener.settimeout(None)  # systems other than Linux pass the mode on to accepted sockets
        host = listener.getsockname()[0]
        servers.append(make_server(host, settings.sqs_port, application, threaded=True, fd=listener.detach()))
    for server in servers[1:]:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    servers[0].serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
