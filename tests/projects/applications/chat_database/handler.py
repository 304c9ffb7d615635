"""Opens its database beside the code when it is imported, as the published example python-chatbot does."""

import os
import sqlite3

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus.sqlite3")
try:
    database = sqlite3.connect(PATH)
    mode = database.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    database.execute("CREATE TABLE IF NOT EXISTS words (word)")
except sqlite3.OperationalError as error:
    database, mode = None, str(error)


def handle(event, context):
    if database is None:
        return {"body": mode}
    with database:
        database.execute("INSERT INTO words VALUES (?)", (event["body"],))
    return {"body": [mode, [row[0] for row in database.execute("SELECT word FROM words")]]}
