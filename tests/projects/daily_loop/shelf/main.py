"""A shelf of books: routes, a model that is checked, a database, a secret, and a private function."""

import hmac
import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from pydantic import BaseModel, Field

from fnkit import Context, Event, Response, function

DATABASE = Path(os.environ.get("SHELF", "/tmp/shelf.sqlite"))


class Book(BaseModel):
    """A book as clients send it."""

    title: str = Field(min_length=1)
    pages: int = Field(gt=0)
    tags: list[str] = []


def connect() -> sqlite3.Connection:
    """Open the database of this instance, with its table."""
    connection = sqlite3.connect(DATABASE)
    connection.execute("CREATE TABLE IF NOT EXISTS books (id INTEGER PRIMARY KEY, document TEXT NOT NULL)")
    return connection


def answer(status: int, value: object) -> Response:
    """Return a JSON response."""
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(value),
    }


def list_books() -> Response:
    """Return all books, oldest first."""
    with closing(connect()) as connection:
        rows = connection.execute("SELECT id, document FROM books ORDER BY id").fetchall()
    return answer(200, [{"id": number, **json.loads(document)} for number, document in rows])


def read_book(number: int) -> Response:
    """Return one book."""
    with closing(connect()) as connection:
        row = connection.execute("SELECT document FROM books WHERE id = ?", (number,)).fetchone()
    if row is None:
        return answer(404, {"error": f"there is no book {number}"})
    return answer(200, {"id": number, **json.loads(row[0])})


@function(memory=128, max_scale=1)
def books(event: Event, context: Context) -> Response:
    """`GET /`, `GET /<id>`."""
    path = event["path"].strip("/")
    if path and not path.isdigit():
        return answer(404, {"error": "not found"})
    response = read_book(int(path)) if path else list_books()
    print(f"{event['httpMethod']} {event['path']} -> {response['statusCode']}")
    return response


@function(memory=128, max_scale=1)
def add(book: Book) -> Response:
    """Store a book; a body that is no book gets 422."""
    with closing(connect()) as connection, connection:
        cursor = connection.execute("INSERT INTO books (document) VALUES (?)", (book.model_dump_json(),))
    print(f"added {book.title!r} as {cursor.lastrowid}", file=sys.stderr)
    return answer(201, {"id": cursor.lastrowid})


@function(memory=128, privacy="private", secrets=["ADMIN_PEPPER"])
def admin(event: Event, context: Context) -> Response:
    """Compare a key with the secret."""
    given = event["queryStringParameters"].get("key", "")
    if not hmac.compare_digest(given, os.environ["ADMIN_PEPPER"]):
        return answer(403, {"error": "wrong key"})
    return answer(200, {"python": sys.version_info[:2], "books": DATABASE.exists()})
