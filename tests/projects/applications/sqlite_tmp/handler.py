"""Keeps a database in the temporary directory, with a write-ahead log and two threads."""

import os
import sqlite3
import tempfile
import threading

path = os.path.join(tempfile.mkdtemp(), "data.sqlite3")


def insert(number):
    connection = sqlite3.connect(path, timeout=60)
    with connection:
        connection.execute("INSERT INTO numbers VALUES (?)", (number,))
    connection.close()


def handle(event, context):
    connection = sqlite3.connect(path)
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    connection.execute("CREATE TABLE numbers (number)")
    threads = [threading.Thread(target=insert, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"body": [mode, connection.execute("SELECT sum(number) FROM numbers").fetchone()[0]]}
