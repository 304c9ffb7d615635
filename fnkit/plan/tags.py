"""Ownership, written in tags (decision 9): the live API is the only state there is.

::

    fnkit                     we made it, or were told to keep it
    fnkit.project=<name>      for this project
    fnkit.stage=<stage>       and this stage ("default" for none)
    fnkit.code=<32 hex>       a function's slice digest, written only once its archive is uploaded
    fnkit.links=<32 hex>      16 of what was declared (crons, …) and 16 of the live ids made from it
    fnkit.preload=false       its third-party modules are not imported ahead of a cold start
    fnkit.own=<8 hex>.<8 hex>…  what we made under a function, by hash of its kind and name; and which of the
                              other tags came from the code, so that they go when they leave it

The first half of ``fnkit.links`` can be compared without asking for the lists; the second half shows, when they
are asked for, that something was made again by other hands. Each tag has at most 64 characters of
``[a-zA-Z0-9=._-]``. Everything else under an owned function is foreign and never touched.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = [
    "LINKS_HALF",
    "Ownership",
    "child_hash",
    "child_tags",
    "code_tag",
    "digest_of",
    "is_ours",
    "links_tag",
    "live_links",
    "owner_tags",
    "owner_value",
    "read_ownership",
    "without_ours",
]

MARK: Final = "fnkit"
TAG_MAX: Final = 64
_PREFIX: Final = MARK + "."
_HASHES_PER_TAG: Final = 6  # "fnkit.own=" + 6 × 8 + 5 dots = 63
_PLAIN: Final = re.compile(r"[a-zA-Z0-9._-]+")
_DEFAULT_STAGE: Final = "default"
LINKS_HALF: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """What a resource's tags say. ``project`` and ``stage`` are as written in tags (see ``owner_value``)."""

    marked: bool = False
    project: str | None = None
    stage: str | None = None
    code: str | None = None
    links: str | None = None
    children: frozenset[str] = frozenset()

    def belongs_to(self, project: str, stage: str) -> bool:
        """Whether this project and stage own it."""
        return self.marked and self.project == owner_value(project) and self.stage == owner_value(stage)

    @property
    def declared_half(self) -> str | None:
        """The half of ``links`` that covers what was declared."""
        return self.links[:LINKS_HALF] if self.links else None

    @property
    def live_half(self) -> str | None:
        """The half of ``links`` that covers the live ids."""
        return self.links[LINKS_HALF:] if self.links else None


def is_ours(tag: str) -> bool:
    """Whether a tag is one of fnkit's; users' tags may not look like it."""
    return tag == MARK or tag.startswith(_PREFIX)


def without_ours(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the tags that are not fnkit's, in their order."""
    return tuple(tag for tag in tags if not is_ours(tag))


def owner_value(name: str) -> str:
    """Return a project's or stage's name as it stands in a tag: itself where it fits, else cut and hashed."""
    if not name:
        return _DEFAULT_STAGE
    room = TAG_MAX - len(f"{_PREFIX}project=")
    if _PLAIN.fullmatch(name) and len(name) <= room:
        return name
    plain = re.sub(r"[^a-zA-Z0-9._-]", "-", name)[: room - 9]
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def owner_tags(project: str, stage: str) -> tuple[str, ...]:
    """Return the tags that say whose a resource is."""
    return MARK, f"{_PREFIX}project={owner_value(project)}", f"{_PREFIX}stage={owner_value(stage)}"


def child_tags(children: Iterable[str]) -> tuple[str, ...]:
    """Return the tags that record what was made under a function, from their hashes."""
    hashes = sorted(set(children))
    groups = [hashes[at : at + _HASHES_PER_TAG] for at in range(0, len(hashes), _HASHES_PER_TAG)]
    return tuple(f"{_PREFIX}own={'.'.join(group)}" for group in groups)


def code_tag(digest: str) -> str:
    """Return the tag that records the deployed slice."""
    return f"{_PREFIX}code={digest}"


def links_tag(declared: str, live: str) -> str:
    """Return the tag that records what was declared and what was made from it: 16 hex each."""
    return f"{_PREFIX}links={declared}{live}"


def live_links(live_ids: Iterable[str]) -> str:
    """Return 16 hex over the ids of what was made beneath a function."""
    return digest_of(sorted(live_ids))


def child_hash(kind: str, name: str) -> str:
    """Return the 8 hex digits under which a cron, trigger or domain is recorded."""
    return hashlib.sha256(f"{kind}\0{name}".encode()).hexdigest()[:8]


def digest_of(parts: Sequence[str]) -> str:
    """Return 16 hex digits over the parts in their order, each told apart from the next."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()[:LINKS_HALF]


def read_ownership(tags: Iterable[str]) -> Ownership:
    """Read what tags say. Unknown ``fnkit.`` tags are passed over: a newer fnkit may have written them."""
    values: dict[str, str] = {}
    children: set[str] = set()
    marked = False
    for tag in tags:
        if tag == MARK:
            marked = True
        elif tag.startswith(_PREFIX) and "=" in tag:
            key, value = tag.removeprefix(_PREFIX).split("=", 1)
            if key == "own":
                children.update(filter(None, value.split(".")))
            else:
                values[key] = value
    return Ownership(
        marked=marked,
        project=values.get("project"),
        stage=values.get("stage"),
        code=values.get("code"),
        links=values.get("links"),
        children=frozenset(children),
    )
