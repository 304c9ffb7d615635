"""Logs where it was called."""

import io
import logging
import warnings

stream = io.StringIO()
logging.basicConfig(stream=stream, level="INFO", format="%(levelname)s %(name)s %(message)s")
logging.captureWarnings(True)


def handle(event, context):
    logging.getLogger("stack").info("here", stack_info=True)
    warnings.warn("old", DeprecationWarning, stacklevel=1)
    warnings.warn("new", UserWarning, stacklevel=1)
    lines = stream.getvalue().splitlines()
    files = {line.split('"')[1] for line in lines if line.startswith("  File ")}
    return {"body": [lines[0], lines[1], sum("UserWarning: new" in line for line in lines),
                     any(name.startswith(("/tmp", "/root")) or "site-packages" in name for name in
                         files - {__file__})]}
