"""Describes the machine."""

import os
import platform
import shutil
import socket


def handle(event, context):
    usage = shutil.disk_usage(os.path.expanduser("~"))
    return {"body": [socket.gethostname() == os.environ["SCW_APPLICATION_NAME"], (os.cpu_count() or 0) >= 1,
                     platform.system(), usage.total >= usage.free > 0, platform.node() == socket.gethostname()]}
