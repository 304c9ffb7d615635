"""Raises its own limit of descriptors as far as it may."""

import resource


def handle(event, context):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return {"body": [soft >= 1024, hard >= 4096, resource.getrlimit(resource.RLIMIT_CORE)[0]]}
