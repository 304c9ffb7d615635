"""Which files of a deployed function have to change, so that it becomes what was bundled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fnkit.bundler.files.content import ContentByPath, read_verified
from fnkit.bundler.model import Bundle
from fnkit.contract.platform import MAX_EDITED_BYTES, MAX_EDITED_FILES, EditCode, EditedFile
from fnkit.plan.ownership import code_tag


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedCode:
    """The code of a function as it was deployed.

    Attributes:
        function_id: Id of the function.
        tags: Its tags, which record the digest of the code.
        runtime: Its runtime.
        layer_key: Identifies its dependencies.
        contents: Its files without the dependencies.
    """

    function_id: str
    tags: tuple[str, ...]
    runtime: str
    layer_key: str
    contents: ContentByPath


def plan_edit(deployed: DeployedCode, bundle: Bundle, digest: str) -> EditCode | None:
    """Return the changes of a function's code; ``None`` if they are more than an edit can have.

    All files of the archive count, not only those that the function depends on: its directory is then what a deploy
    of the archive would have made of it.

    Args:
        deployed: Its code as it is deployed.
        bundle: The bundle that contains it.
        digest: Digest of its slice.

    Raises:
        BundleError: A file has changed since it was bundled.
    """
    if bundle.needs_build or (bundle.runtime, bundle.layer_key) != (deployed.runtime, deployed.layer_key):
        return None
    changed = [
        path
        for path, content in bundle.contents.items()
        if (old := deployed.contents.get(path)) is None
        or (old.sha256, old.executable) != (content.sha256, content.executable)
    ]
    removed = [path for path in deployed.contents if path not in bundle.contents]
    size = sum(bundle.contents[path].size for path in changed)
    if size > MAX_EDITED_BYTES or len(changed) + len(removed) > MAX_EDITED_FILES:
        return None
    files = [EditedFile(path=path) for path in removed]
    for path in changed:
        content = bundle.contents[path]
        files.append(EditedFile(path=path, content=read_verified(content, path), executable=content.executable))
    return EditCode(expected_tags=list(deployed.tags), tags=list(_with_digest(deployed.tags, digest)), files=files)


def _with_digest(tags: Sequence[str], digest: str) -> tuple[str, ...]:
    """Return the tags of a function with another digest of its code."""
    new = code_tag(digest)
    prefix = new.removesuffix(digest)
    return tuple(new if tag.startswith(prefix) else tag for tag in tags)
