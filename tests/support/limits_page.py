"""Generates docs/limits.md from the source: ``python -m tests.support.limits_page`` writes it, a test checks it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, get_args

from fnkit.contract import limits
from fnkit.contract.limits import Limit
from tests.support.source_tree import REPOSITORY

PAGE: Final = REPOSITORY / "docs" / "limits.md"

INTRODUCTION: Final = """\
# Limits

The local platform enforces these limits; the kit checks those that it can before it sends anything. The date says
when a limit was published, last reviewed by its author, or recorded.

This page is generated from `fnkit/contract/limits.py` (`python -m tests.support.limits_page`).

| limit | value | source | as of |
|---|---|---|---|
"""

NOTES: Final = """
A function has one of these sizes (Scaleway's page on tiers, 2026-02; the first two were recorded):
{tiers}.

The numbers of namespaces and functions and their memory can be changed with `platform start --quota`.

Two published limits are not enforced here: 5,000 requests per second to a function, and the blocked ports 25 and
465 for outgoing connections.

Linux passes at most 128 KiB per variable, and about 2 MiB in all, to a new program. Longer variables reach a
handler in sandbox `v2`, but neither one in `v1`, which then fails to start, nor programs that a handler starts.

{links}"""

_BINARY_UNITS: Final = {"bytes": ("bytes", "KiB", "MiB", "GiB"), "MiB": ("MiB", "GiB")}


@dataclass(frozen=True, slots=True)
class TableRow:
    """One limit of ``fnkit.contract.limits``: the constant's name and value, and its annotation."""

    name: str
    value: int
    limit: Limit


def limit_table() -> Iterator[TableRow]:
    """Yield the annotated constants in the order of the module."""
    for name, annotation in inspect.get_annotations(limits, eval_str=True).items():
        for final in get_args(annotation):
            yield TableRow(name, getattr(limits, name), final.__metadata__[0])


def render_page() -> str:
    """Return the content of the page."""
    tiers = "; ".join(f"{memory:,} MB with {cpu:,} mVCPU" for memory, cpu in limits.CPU_BY_MEMORY.items())
    sources = {row.limit.source.title: row.limit.source.url for row in limit_table()}
    links = "".join(f"[{title}]: {url}\n" for title, url in sources.items() if url)
    return INTRODUCTION + "".join(map(_row, limit_table())) + NOTES.format(tiers=tiers, links=links)


def _row(row: TableRow) -> str:
    source = row.limit.source
    title = f"[{source.title}]" if source.url else source.title
    return f"| {row.limit.subject} | {_quantity(row.value, row.limit.unit)} | {title} | {source.date} |\n"


def _quantity(value: int, unit: str) -> str:
    """Return a value with the largest unit of which it is a whole number.

    >>> _quantity(2400, "seconds"), _quantity(1048576, "bytes"), _quantity(65536, "characters")
    ('40 min', '1 MiB', '65,536 characters')
    """
    if unit == "seconds":
        return f"{value} s" if value % 60 else f"{value // 60} min"
    units = _BINARY_UNITS.get(unit, (unit,))
    while len(units) > 1 and value % 1024 == 0:
        value, units = value // 1024, units[1:]
    return f"{value:,} {units[0]}"


if __name__ == "__main__":
    PAGE.write_text(render_page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(REPOSITORY)}: {len(list(limit_table()))} limits\n")
