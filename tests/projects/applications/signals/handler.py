"""Handles signals, and limits the time of a step."""

import os
import signal
import time

received = []


class Slow(Exception):
    pass


def stop(number, frame):
    raise Slow


def handle(event, context):
    signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    os.kill(os.getpid(), signal.SIGTERM)
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        time.sleep(600)
    except Slow:
        received.append("slow")
    return {"body": received}
