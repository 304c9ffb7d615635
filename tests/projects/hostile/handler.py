"""A handler that does what a request asks it to: see ``tests.support.hostile_languages``."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

CALLS: list[None] = []


def read(path: str) -> str:
    with open(path, "rb") as file:
        return file.read(65536).decode("latin-1")


def write(path: str) -> None:
    with open(path, "w") as file:
        file.write("x")


def connect(path: str) -> None:
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(2)
    peer.connect(path)


def links() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append("%s %s" % (name, os.readlink("/proc/self/fd/" + name)))
        except OSError:
            continue  # that of the listing
    return found


def descriptors(count: int) -> int:
    opened: list[int] = []
    try:
        for _ in range(count):
            opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for descriptor in opened:
        os.close(descriptor)
    return len(opened)


def processes(count: int) -> int:
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            started.append(subprocess.Popen(["sleep", "300"]))
    except OSError:
        pass
    for process in started:
        process.kill()
        process.wait()
    return len(started)


def fill(path: str, size: int) -> int:
    written = 0
    with open(path, "wb", buffering=0) as file:
        try:
            while written < size << 20:
                written += file.write(b"x" * (1 << 20))
        except OSError:
            pass
    return written >> 20


def allocate() -> NoReturn:
    kept = []
    while True:
        kept.append(b"x" * (1 << 20))


def print_lines() -> NoReturn:
    while True:
        print("x" * 60)


def loop() -> NoReturn:
    while True:
        pass


def count() -> int:
    CALLS.append(None)
    return len(CALLS)


def fail() -> NoReturn:
    raise ValueError("asked to fail")


def shell(command: str) -> str:
    return subprocess.run(["sh", "-c", command], capture_output=True, stdin=subprocess.DEVNULL).stdout.decode()


def handle(event: dict[str, Any], _context: object) -> object:
    query = event["queryStringParameters"]
    path, number = query.get("path", ""), int(query.get("count", "0"))
    actions: dict[str, Callable[[], object]] = {
        "read": lambda: read(path),
        "list": lambda: sorted(os.listdir(path)),
        "write": lambda: write(path),
        "make": lambda: os.mkdir(path),
        "remove": lambda: os.unlink(path),
        "rename": lambda: os.rename(path, path + ".renamed"),
        "connect": lambda: connect(path),
        "kill": lambda: os.kill(number, 0),
        "environment": lambda: dict(os.environ),
        "links": links,
        "shell": lambda: shell(path),
        "descriptors": lambda: descriptors(number),
        "processes": lambda: processes(number),
        "fill": lambda: fill(path, number),
        "stack": lambda: "".join(traceback.format_stack()),
        "hour": lambda: time.localtime(0).tm_hour,
        "exit": lambda: os._exit(3),
        "crash": lambda: ctypes.string_at(0),
        "count": count,
        "allocate": allocate,
        "print": print_lines,
        "loop": loop,
        "line": lambda: print("line of " + path),
    }
    action = event["path"][1:]
    if action == "fail":
        fail()
    if action == "huge":
        return "x" * (number << 20)
    try:
        return {"ok": actions[action]()}
    except (OSError, subprocess.SubprocessError) as error:
        return {"error": str(error)}
