"""Texts that a spreadsheet program would run.

Source of the signs: OWASP, "CSV Injection".
"""

from __future__ import annotations

_RISKY = ("=", "+", "-", "@", "\t", "\r")


def neutralised(text: str) -> str:
    """A text that no spreadsheet program takes for a formula: an apostrophe goes in front of one that it would."""
    return f"'{text}" if text.startswith(_RISKY) else text
