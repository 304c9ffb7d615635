"""JSON as Go decodes it: by msgspec, or with the standard library alone inside an image, which has no msgspec."""

from __future__ import annotations

try:
    from fnkit.contract.invocation.strict_json import decode_members, decode_string, decode_texts
except ModuleNotFoundError:
    from fnkit.contract.invocation.loose_json import decode_members, decode_string, decode_texts

__all__ = ["decode_members", "decode_string", "decode_texts"]
