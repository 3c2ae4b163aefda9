"""Texts that a spreadsheet program would run.

Source of the signs: OWASP, "CSV Injection".
"""

from __future__ import annotations

#: What a formula begins with, the full-width forms of East Asian keyboards and what a program skips included.
_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_SIGN = "'"


def neutralised(text: str) -> str:
    """A text that no spreadsheet program takes for a formula: an apostrophe goes in front of one that it would.

    A text that looks as if that had been done to it gets one more, so that `original` always gives the text back.
    """
    return _SIGN + text if _risky(text) else text


def original(text: str) -> str:
    """The text that `neutralised` made this of."""
    return text.removeprefix(_SIGN) if _risky(text) else text


def _risky(text: str) -> bool:
    return text.lstrip(_SIGN).startswith(_RISKY)
