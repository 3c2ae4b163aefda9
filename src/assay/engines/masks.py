"""Masks as SQL of the engine: each gives a value of the type that the column has."""

from __future__ import annotations

import hmac
from typing import Final

from assay.engines.duckdb import literal, quoted
from assay.zones.masks import Mask
from assay.zones.types import FieldType

#: What stands for a text that is not shown.
HIDDEN: Final = "****"
#: How many characters `partial` shows, of texts that are at least so long.
SHOWN: Final = 4
SHOWN_FROM: Final = 8
#: How many hexadecimal digits a hashed text has, and those of which a hashed number is made.
TEXT_DIGITS: Final = 32
NUMBER_DIGITS: Final = 15

_BLOCK: Final = 64


def masked(column: str, kind: FieldType, mask: Mask, key: bytes) -> str:
    """The expression that stands for a column; `key` is the zone's, for hashes."""
    name = quoted(column)
    if mask == "hash" and kind.kind in ("string", "integer"):
        return _hashed(name, kind, key)
    if mask == "partial" and kind.kind == "string":
        return (
            f"CASE WHEN {name} IS NULL THEN NULL WHEN length({name}) < {SHOWN_FROM} THEN {literal(HIDDEN)} "
            f"ELSE {literal(HIDDEN)} || right({name}, {SHOWN}) END"
        )
    if mask != "null" and kind.kind == "string":
        return literal(HIDDEN)  # also for a missing value: not even that is shown
    return f"CAST(NULL AS {kind.duckdb})"


def hashed(text: str, key: bytes) -> str:
    """What the mask `hash` makes of a text: the beginning of its HMAC-SHA-256."""
    return hmac.new(key, text.encode(), "sha256").hexdigest()[:TEXT_DIGITS]


def _hashed(name: str, kind: FieldType, key: bytes) -> str:
    """HMAC-SHA-256 of the value's text, written out, as the engine has the hash alone."""
    inner, outer = (_blob(bytes(byte ^ pad for byte in key.ljust(_BLOCK, b"\0"))) for pad in (0x36, 0x5C))
    digest = f"sha256({outer} || unhex(sha256({inner} || encode(CAST({name} AS VARCHAR)))))"
    if kind.kind == "integer":
        return f"CAST('0x' || left({digest}, {NUMBER_DIGITS}) AS BIGINT)"
    return f"left({digest}, {TEXT_DIGITS})"


def _blob(content: bytes) -> str:
    return "'" + "".join(f"\\x{byte:02X}" for byte in content) + "'::BLOB"
