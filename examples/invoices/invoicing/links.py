"""A document inside a link: compressed, readable by whoever has the link, changeable by nobody."""

from collections.abc import Mapping
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

SALT = "invoice-link"


class InvalidLink(Exception):
    """The link is not ours, or somebody changed it."""


def encode(document: Mapping[str, object], key: str) -> str:
    return str(URLSafeSerializer(key, salt=SALT).dumps(dict(document)))


def decode(token: str, key: str) -> dict[str, Any]:
    try:
        document: dict[str, Any] = URLSafeSerializer(key, salt=SALT).loads(token)
    except BadData as error:
        raise InvalidLink from error
    return document
