"""Reads about its own process."""

import os


def read(name):
    with open("/proc/" + name) as file:
        return file.read()


def handle(event, context):
    status = dict(line.split(":\t", 1) for line in read("self/status").splitlines())
    return {"body": [int(status["Pid"]) == os.getpid(), int(status["VmRSS"].split()[0]) > 0,
                     "MemTotal" in read("meminfo"), "processor" in read("cpuinfo"),
                     len(os.listdir("/proc/self/fd")) > 3, os.path.exists("/proc/self/exe")]}
