"""Ownership of live resources, stored in their tags. There is no other state (``docs/decisions/no-state-file.md``).

::

    fnkit                     created by fnkit, or adopted by it
    fnkit.project=<name>      owning project
    fnkit.stage=<stage>       owning stage ("default" for none)
    fnkit.code=<32 hex>       slice digest of a function, written only after its archive is uploaded
    fnkit.links=<32 hex>      16 over the declared crons, domains and triggers, 16 over the ids of the live ones
    fnkit.preload=false       do not import third-party modules ahead of a cold start
    fnkit.own=<8 hex>.<8 hex>…  hashes of kind and name of everything created for a function, and of the user tags
                              that the code declared, so that they are removed once the code drops them

The first half of ``fnkit.links`` can be compared without listing the resources. The second half shows, once they
are listed, that one was recreated outside fnkit (``docs/decisions/links-tag.md``). A tag has at most 64
characters of ``[a-zA-Z0-9=._-]``. Everything else under an owned function is foreign and never changed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_MARKER_TAG: Final = "fnkit"
MAX_TAG_LENGTH: Final = 64
_TAG_PREFIX: Final = _MARKER_TAG + "."
_HASHES_PER_TAG: Final = 6  # "fnkit.own=" + 6 × 8 + 5 dots = 63
_TAG_CHARACTERS: Final = re.compile(r"[a-zA-Z0-9._-]+")
_DEFAULT_STAGE: Final = "default"
HASH_LENGTH: Final = 16
"""Hex digits of each of the two hashes in ``fnkit.links``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """The ownership recorded in a resource's tags.

    Attributes:
        is_marked: The tag ``fnkit`` is present.
        project: As encoded by ``_tag_value``.
        stage: As encoded by ``_tag_value``.
        code_digest: Digest of the deployed slice.
        resource_hash: Both halves of ``fnkit.links``.
        owned_hashes: Hashes from ``fnkit.own``.
    """

    is_marked: bool = False
    project: str | None = None
    stage: str | None = None
    code_digest: str | None = None
    resource_hash: str | None = None
    owned_hashes: frozenset[str] = frozenset()

    def belongs_to(self, project: str, stage: str) -> bool:
        """Return whether this project and stage own the resource."""
        return self.is_marked and self.project == _tag_value(project) and self.stage == _tag_value(stage)

    @property
    def declared_hash(self) -> str | None:
        """The half of ``fnkit.links`` over the declared resources."""
        return self.resource_hash[:HASH_LENGTH] if self.resource_hash else None

    @property
    def live_hash(self) -> str | None:
        """The half of ``fnkit.links`` over the live ids."""
        return self.resource_hash[HASH_LENGTH:] if self.resource_hash else None


def is_fnkit_tag(tag: str) -> bool:
    """Return whether a tag is reserved for fnkit. Projects cannot declare such tags."""
    return tag == _MARKER_TAG or tag.startswith(_TAG_PREFIX)


def _tag_value(name: str) -> str:
    """Return a project's or stage's name as written in a tag: unchanged if it fits, else truncated and hashed."""
    if not name:
        return _DEFAULT_STAGE
    room = MAX_TAG_LENGTH - len(f"{_TAG_PREFIX}project=")
    if _TAG_CHARACTERS.fullmatch(name) and len(name) <= room:
        return name
    plain = re.sub(r"[^a-zA-Z0-9._-]", "-", name)[: room - 9]
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def owner_tags(project: str, stage: str) -> tuple[str, ...]:
    """Return the tags that record the owner of a resource."""
    return _MARKER_TAG, f"{_TAG_PREFIX}project={_tag_value(project)}", f"{_TAG_PREFIX}stage={_tag_value(stage)}"


def owned_hash_tags(owned_hashes: Iterable[str]) -> tuple[str, ...]:
    """Return the ``fnkit.own`` tags for a set of hashes, as many as their length limit requires."""
    hashes = sorted(set(owned_hashes))
    groups = [hashes[at : at + _HASHES_PER_TAG] for at in range(0, len(hashes), _HASHES_PER_TAG)]
    return tuple(f"{_TAG_PREFIX}own={'.'.join(group)}" for group in groups)


def code_tag(digest: str) -> str:
    """Return the tag that records the deployed slice."""
    return f"{_TAG_PREFIX}code={digest}"


def resource_hash_tag(declared_hash: str, live_hash: str) -> str:
    """Return the ``fnkit.links`` tag for two hashes of 16 hex digits each."""
    return f"{_TAG_PREFIX}links={declared_hash}{live_hash}"


def hash_live_ids(live_ids: Iterable[str]) -> str:
    """Return 16 hex digits over the ids of a function's live resources."""
    return hash_parts(sorted(live_ids))


def owned_hash(kind: str, name: str) -> str:
    """Return the 8 hex digits that record a cron, domain, trigger or user tag in ``fnkit.own``."""
    return hashlib.sha256(f"{kind}\0{name}".encode()).hexdigest()[:8]


def hash_parts(parts: Sequence[str]) -> str:
    """Return 16 hex digits over an ordered sequence of strings.

    Each part is prefixed with its length, so that different sequences cannot have equal input.
    """
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()[:HASH_LENGTH]


def read_ownership(tags: Iterable[str]) -> Ownership:
    """Parse a resource's tags. Unknown ``fnkit.`` tags are ignored: a newer fnkit may have written them."""
    values: dict[str, str] = {}
    children: set[str] = set()
    marked = False
    for tag in tags:
        if tag == _MARKER_TAG:
            marked = True
        elif tag.startswith(_TAG_PREFIX) and "=" in tag:
            key, value = tag.removeprefix(_TAG_PREFIX).split("=", 1)
            if key == "own":
                children.update(filter(None, value.split(".")))
            else:
                values[key] = value
    return Ownership(
        is_marked=marked,
        project=values.get("project"),
        stage=values.get("stage"),
        code_digest=values.get("code"),
        resource_hash=values.get("links"),
        owned_hashes=frozenset(children),
    )
