"""Verifies certificates with the system's authorities."""

import os
import ssl


def handle(event, context):
    paths = ssl.get_default_verify_paths()
    context = ssl.create_default_context()
    found = os.path.exists(paths.cafile or "") or os.path.isdir(paths.capath or "")
    return {"body": [found, context.verify_mode is ssl.CERT_REQUIRED, context.check_hostname]}
