"""The content type of a body that has none, as Go's ``http.DetectContentType`` finds it in its first bytes.

Scaleway's core runtime is a Go server, which adds this type to responses without one. The rules are those of
https://mimesniff.spec.whatwg.org as far as Go implements them, in Go's order.
"""

from __future__ import annotations

import re
from typing import Final

_SNIFFED_BYTES: Final = 512
_TAGS: Final = rb"!DOCTYPE HTML|HTML|HEAD|SCRIPT|IFRAME|H1|DIV|FONT|TABLE|A|STYLE|TITLE|B|BODY|BR|P|!--"
_SIGNATURES: Final = (
    (rb"[\t\n\f\r ]*<(?i:" + _TAGS + rb")[ >]", "text/html; charset=utf-8"),
    (rb"[\t\n\f\r ]*<\?xml", "text/xml; charset=utf-8"),
    (rb"%PDF-", "application/pdf"),
    (rb"%!PS-Adobe-", "application/postscript"),
    (rb"\xfe\xff..", "text/plain; charset=utf-16be"),
    (rb"\xff\xfe..", "text/plain; charset=utf-16le"),
    (rb"\xef\xbb\xbf.", "text/plain; charset=utf-8"),
    (rb"\0\0[\x01\x02]\0", "image/x-icon"),
    (rb"BM", "image/bmp"),
    (rb"GIF8[79]a", "image/gif"),
    (rb"RIFF....WEBPVP", "image/webp"),
    (rb"\x89PNG\r\n\x1a\n", "image/png"),
    (rb"\xff\xd8\xff", "image/jpeg"),
    (rb"FORM....AIFF", "audio/aiff"),
    (rb"ID3", "audio/mpeg"),
    (rb"OggS\0", "application/ogg"),
    (rb"MThd\0\0\0\x06", "audio/midi"),
    (rb"RIFF....AVI ", "video/avi"),
    (rb"RIFF....WAVE", "audio/wave"),
    (rb"....ftyp", "video/mp4"),
    (rb"\x1a\x45\xdf\xa3", "video/webm"),
    (rb".{34}LP", "application/vnd.ms-fontobject"),
    (rb"\0\x01\0\0", "font/ttf"),
    (rb"OTTO", "font/otf"),
    (rb"ttcf", "font/collection"),
    (rb"wOFF", "font/woff"),
    (rb"wOF2", "font/woff2"),
    (rb"\x1f\x8b\x08", "application/x-gzip"),
    (rb"PK\x03\x04", "application/zip"),
    (rb"Rar!\x1a\x07(?:\0|\x01\0)", "application/x-rar-compressed"),
    (rb"\0asm", "application/wasm"),
    (rb"[^\0-\x08\x0b\x0e-\x1a\x1c-\x1f]*\Z", "text/plain; charset=utf-8"),
)
_MP4: Final = "video/mp4"
_BOX_HEADER_BYTES: Final = 12


def detect_content_type(body: bytes) -> str:
    """Return the type of a body, ``application/octet-stream`` if it is unknown.

    >>> detect_content_type(b"<html><p>Hello</p>"), detect_content_type(b'{"a": 1}')
    ('text/html; charset=utf-8', 'text/plain; charset=utf-8')
    """
    start = body[:_SNIFFED_BYTES]
    for signature, found in _SIGNATURES:
        if re.match(signature, start, re.DOTALL) and (found != _MP4 or _has_mp4_brand(start)):
            return found
    return "application/octet-stream"


def _has_mp4_brand(start: bytes) -> bool:
    """Return whether the first box, of the type ``ftyp``, is complete and names a brand of MP4."""
    size = int.from_bytes(start[:4], "big")
    if size > len(start) or size % 4 or len(start) < _BOX_HEADER_BYTES:
        return False
    # The four bytes at 12 are the version of the major brand.
    return any(start[offset : offset + 3] == b"mp4" for offset in (8, *range(16, size, 4)) if offset < size)
