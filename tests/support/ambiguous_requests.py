"""Requests that two programs may divide differently, and some that look like it but are unambiguous."""

from __future__ import annotations

HOST = b"Host: echo.test\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: echo.test\r\nConnection: close\r\n\r\n"
INNER = b"GET /smuggled HTTP/1.1\r\nHost: echo.test\r\n\r\n"


def post(headers: bytes, body: bytes = b"") -> bytes:
    return b"POST /first HTTP/1.1\r\n" + HOST + headers + b"\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked\r\n"
AMBIGUOUS = {
    "length and chunks": post(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"),
    "chunks and length": post(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 0\r\nContent-Length: 5\r\n"),
    "same length twice": post(b"Content-Length: 0\r\nContent-Length: 0\r\n"),
    "list of lengths": post(b"Content-Length: 0, 0\r\n"),
    "signed length": post(b"Content-Length: +0\r\n"),
    "negative length": post(b"Content-Length: -1\r\n"),
    "hexadecimal length": post(b"Content-Length: 0x5\r\n"),
    "length of two numbers": post(b"Content-Length: 1 2\r\n"),
    "empty length": post(b"Content-Length: \r\n"),
    "overflowing length": post(b"Content-Length: 18446744073709551616\r\n"),
    "space before colon of length": post(b"Content-Length : 5\r\n"),
    "space before colon of coding": post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    "misspelled chunked": post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "coding after chunked": post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
    "coding before chunked": post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "two codings": post(CHUNKED + b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n"),
    "chunked twice": post(CHUNKED + CHUNKED, b"0\r\n\r\n"),
    "vertical tab before coding": post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    "folded header": post(b"X-A: a\r\n b\r\n"),
    "folded coding": post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"),
    "bare line feeds only": b"POST /first HTTP/1.1\nHost: echo.test\n\n",
    "bare line feed in header": post(b"X: a\nContent-Length: 5\r\n"),
    "bare carriage return in header": post(b"X: a\rContent-Length: 5\r\n"),
    "zero byte in header": post(b"X: a\0b\r\n"),
    "header without name": post(b": y\r\n"),
    "header without colon": post(b"nothing\r\n"),
    "header line with leading space": b"POST /first HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n",
    "two hosts": post(b"Host: other.test\r\n"),
    "no host": b"GET /first HTTP/1.1\r\n\r\n",
    "signed chunk size": post(CHUNKED, b"-1\r\nx\r\n0\r\n\r\n"),
    "chunk size with prefix": post(CHUNKED, b"0x1\r\nx\r\n0\r\n\r\n"),
    "overflowing chunk size": post(CHUNKED, b"10000000000000001\r\nx\r\n0\r\n\r\n"),
    "chunk longer than its size": post(CHUNKED, b"1\r\nxy0\r\n\r\n"),
    "chunks with bare line feeds": post(CHUNKED, b"1\nx\n0\n\n"),
    "chunk extension ending in line feed": post(CHUNKED, b"1;a\nx\r\n0\r\n\r\n"),
    "unknown version": b"GET /first HTTP/1.2\r\n" + HOST + b"\r\n",
    "version of HTTP/2": b"GET /first HTTP/2.0\r\n" + HOST + b"\r\n",
    "version of HTTP/0.9": b"GET /first HTTP/0.9\r\n" + HOST + b"\r\n",
    "host behind a user": b"GET /first HTTP/1.1\r\nHost: a:80@echo.test\r\n\r\n",
    "host with a path": b"GET /first HTTP/1.1\r\nHost: echo.test/x\r\n\r\n",
    "host with a space": b"GET /first HTTP/1.1\r\nHost: echo.test x\r\n\r\n",
    "host with a port that is no number": b"GET /first HTTP/1.1\r\nHost: echo.test:http\r\n\r\n",
    "HTTP/2 prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100a5010000a10303") + b"x" * 160,
}

UNAMBIGUOUS = {
    "upgrade with body": (
        post(b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n" % len(INNER), INNER),
        INNER,
    ),
    "upgrade with chunks": (
        post(b"Connection: upgrade\r\nUpgrade: h2c\r\n" + CHUNKED, b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER)),
        INNER,
    ),
    "body that looks like a request": (post(b"Content-Length: %d\r\n" % len(INNER), INNER), INNER),
    "chunk with extensions": (post(CHUNKED, b'1;a=b;c="d"\r\nx\r\n0;e\r\n\r\n'), b"x"),
    "trailers": (post(CHUNKED, b"1\r\nx\r\n0\r\nX-Late: 1\r\nHost: other.test\r\n\r\n"), b"x"),
    "leading empty lines": (b"\r\n\r\n" + post(b""), b""),
}
