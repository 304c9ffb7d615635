"""References in documentation and code: links, pages and source files exist, and no private document is cited."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import pytest

from tests.support.source_tree import REPOSITORY

TOP_PAGES: Final = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
PAGES: Final = [
    *(page for name in TOP_PAGES if (page := REPOSITORY / name).is_file()),
    *sorted(
        page
        for folder in ("docs", "examples", "templates")
        for pattern in ("*.md", "*.md.jinja")
        for page in (REPOSITORY / folder).rglob(pattern)
    ),
]
CODE_FOLDERS: Final = ("fnkit", "tests", "benchmarks")
CITING_FOLDERS: Final = (*CODE_FOLDERS, "docs")
TEXT_SUFFIXES: Final = {".py", ".md", ".txt", ".toml", ".yaml", ".yml", ".json", ".sh", ".jinja", ".svg"}

FENCE: Final = re.compile(r"^ *(```|~~~).*?^ *\1[`~]*\s*$", re.DOTALL | re.MULTILINE)
CODE_SPAN: Final = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
HEADING: Final = re.compile(r"^#{1,6} +(.*?)(?: +#+)? *$", re.MULTILINE)
INLINE_LINK: Final = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
LINK_DEFINITION: Final = re.compile(r"^ {0,3}\[[^\]]+\]:\s+<?(\S+?)>?(?:\s|$)", re.MULTILINE)
HTML_ANCHOR: Final = re.compile(r"<[^>]+\b(?:id|name)=\"([^\"]+)\"")
PAGE_PATH: Final = re.compile(r"(?<![\w./-])docs/[\w./-]+\.md\b")
SOURCE_PATH: Final = re.compile(
    r"(?<![\w./-])(?:fnkit|tests|benchmarks|examples|templates)/[\w./-]+\.(?:py|yaml)\b"
)
PRIVATE_CITATION: Final = re.compile(
    r"\bdecisions?(?:[ \t]+|\n[ #]*)\d|\bdecisions\.md|functions-contract|red-?team|\bhouse\.md|\bnames\.md"
    r"|contract[^\n]{0,20}§|§[^\n]{0,20}contract",
    re.IGNORECASE,
)


def path_in_repository(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def anchor_of(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading: https://github.com/gjtorikian/html-pipeline#readme."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page; GitHub numbers repeated headings."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found: dict[str, int] = {}
    names = set(HTML_ANCHOR.findall(text))
    for heading in HEADING.findall(text):
        anchor = anchor_of(heading)
        seen = found.get(anchor, 0)
        names.add(f"{anchor}-{seen}" if seen else anchor)
        found[anchor] = seen + 1
    return frozenset(names)


def links(page: Path) -> list[str]:
    """Return the link targets of a page that are not URLs, without those inside code."""
    text = CODE_SPAN.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))
    targets = [*INLINE_LINK.findall(text), *LINK_DEFINITION.findall(text)]
    return [target for target in targets if not re.match(r"[a-z][a-z0-9+.-]*:", target)]


def is_broken(page: Path, target: str) -> bool:
    """Return whether a relative link leads to no file, out of the repository, or to no heading."""
    path, _, anchor = unquote(target).partition("#")
    destination = (page.parent / path).resolve() if path else page
    if not destination.is_relative_to(REPOSITORY) or not destination.exists():
        return True
    return bool(anchor) and (destination.suffix != ".md" or anchor not in anchors(destination))


def text_files(*folders: str) -> list[Path]:
    return sorted(
        path
        for folder in folders
        for path in (REPOSITORY / folder).rglob("*")
        if path.suffix in TEXT_SUFFIXES and "__pycache__" not in path.parts and path.is_file()
    )


@pytest.mark.parametrize("page", PAGES, ids=path_in_repository)
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    assert [target for target in links(page) if is_broken(page, target)] == []


def test_pages_mentioned_in_code_exist() -> None:
    missing = {
        f"{path_in_repository(path)}: {mentioned}"
        for path in text_files(*CODE_FOLDERS)
        for mentioned in PAGE_PATH.findall(path.read_text(encoding="utf-8"))
        if not (REPOSITORY / mentioned).is_file()
    }
    assert missing == set()


@pytest.mark.parametrize("page", PAGES, ids=path_in_repository)
def test_source_files_mentioned_in_pages_exist(page: Path) -> None:
    mentioned = SOURCE_PATH.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    assert [path for path in mentioned if not (REPOSITORY / path).exists()] == []


def test_no_text_cites_documents_outside_the_repository() -> None:
    texts = [*(page for page in PAGES if page.parent == REPOSITORY), *text_files(*CITING_FOLDERS)]
    cited = {
        f"{path_in_repository(path)}: {found[0]}"
        for path in texts
        if path != Path(__file__)
        for found in PRIVATE_CITATION.finditer(path.read_text(encoding="utf-8"))
    }
    assert cited == set()


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Other languages", "other-languages"),
        ("`@function`", "function"),
        ("GET /metrics", "get-metrics"),
        ("--otlp URL", "--otlp-url"),
        ("A *deploy*, and [its](x.md) order", "a-deploy-and-its-order"),
    ],
)
def test_anchors_follow_githubs_rules(heading: str, anchor: str) -> None:
    assert anchor_of(heading) == anchor
