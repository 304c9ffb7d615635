"""The pictures of commands: each is shown on a page, and none needs anything from elsewhere."""

from __future__ import annotations

import io
import re
from xml.parsers import expat

import pytest

from tests.support.pictures import FOLDER, PICTURES
from tests.support.source_tree import REPOSITORY

MAX_BYTES = 60_000
NAMES = [picture.name for picture in PICTURES]


def shown_in(text: str) -> str:
    """Return the text of a picture, which fails if it is not well-formed."""
    pieces: list[str] = []
    parser = expat.ParserCreate()
    parser.CharacterDataHandler = pieces.append
    parser.ParseFile(io.BytesIO(text.encode()))
    return "".join(pieces).replace("\xa0", " ")


@pytest.mark.parametrize("name", NAMES)
def test_picture_is_small_and_complete(name: str) -> None:
    text = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")

    assert text.startswith("<svg ")
    assert shown_in(text)
    assert len(text) < MAX_BYTES
    assert not re.findall(r"(?:url\((?!#)|href=|src:|@import|<script)", text)


@pytest.mark.parametrize("name", NAMES)
def test_picture_has_nothing_of_the_machine_that_drew_it(name: str) -> None:
    text = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    shown = shown_in(text)

    assert "/tmp" not in shown
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", shown)) <= {"48481", "8481"}


@pytest.mark.parametrize("name", NAMES)
def test_picture_is_on_a_page(name: str) -> None:
    pages = [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]
    link = re.compile(rf"!\[[^\]]+\]\((?:docs/)?pictures/{name}\.svg\)")
    assert any(link.search(page.read_text(encoding="utf-8")) for page in pages)
