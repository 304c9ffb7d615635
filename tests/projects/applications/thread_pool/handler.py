"""Computes in threads."""

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

pool = ThreadPoolExecutor(4)


def handle(event, context):
    results = [pool.submit(lambda number: number + 1, number) for number in range(8)]
    total = sum(result.result() for result in as_completed(results))
    return {"body": [total, threading.current_thread() is threading.main_thread()]}
