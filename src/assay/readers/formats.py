"""How an xlsx workbook shows the numbers of each column: 0.125 under `0.0%` is what a person sees as 12.5 %.

Only a sample of each sheet is looked at: a format explains a column to people, and types nothing.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter

from assay.readers.compound import Malformed
from assay.readers.xml import local, walk

SAMPLE_BYTES = 1 << 20
GENERAL = "General"

#: The formats that need no declaration, [ECMA-376] part 1, 18.8.30; the ones that show numbers, not dates.
_BUILT_IN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?", 13: "# ??/??",
    37: "#,##0 ;(#,##0)", 38: "#,##0 ;[Red](#,##0)", 39: "#,##0.00;(#,##0.00)", 40: "#,##0.00;[Red](#,##0.00)",
    48: "##0.0E+0", 49: "@",
}  # fmt: skip
_CELL = re.compile(rb"<c\s([^<>]*[^/<>])>\s*(?:<f\b[^<>]*>[^<]*(?:</f>)?\s*)?<v>")
_PLACE = re.compile(rb"""\br\s*=\s*["']([A-Z]+)\d+["']""")
_STYLE = re.compile(rb"""\bs\s*=\s*["'](\d+)["']""")
_TYPE = re.compile(rb"""\bt\s*=\s*["'](\w+)["']""")


def styles(archive: zipfile.ZipFile, part: str | None) -> list[str]:
    """The number format of each cell style of a workbook, by the style's index.

    Raises `Malformed` or `XmlError` where they are damaged: they tell the dates among the numbers.
    """
    codes: dict[int, str] = {}
    order: list[str] = []
    within = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal within
        tag = local(name)
        if tag == "numFmt":
            codes[int(attributes["numFmtId"])] = attributes["formatCode"]
        elif tag == "cellXfs":
            within = True
        elif tag == "xf" and within:
            number = int(attributes.get("numFmtId", "0"))
            order.append(codes.get(number) or _BUILT_IN.get(number, GENERAL))

    def end(name: str) -> None:
        nonlocal within
        within = within and local(name) != "cellXfs"

    if part is None:
        return []
    with archive.open(part) as file:
        try:
            walk(file, start, end)
        except (KeyError, ValueError) as error:
            raise Malformed("the formats of its cells are damaged") from error
    return order


def of_columns(archive: zipfile.ZipFile, part: str, known: list[str]) -> dict[int, str]:
    """The format that most numbers at the top of a sheet have, by zero-based column; the general one is left out."""
    if all(code == GENERAL for code in known):
        return {}
    with archive.open(part) as file:
        sample = file.read(SAMPLE_BYTES)
    seen: dict[int, Counter[str]] = {}
    for match in _CELL.finditer(sample):
        place, style, kind = (form.search(match[1]) for form in (_PLACE, _STYLE, _TYPE))
        if place is None or (kind is not None and kind[1] != b"n"):
            continue
        index = 0 if style is None else int(style[1])
        code = known[index] if index < len(known) else GENERAL
        seen.setdefault(_column(place[1]), Counter())[code] += 1
    most = {column: counts.most_common(1)[0][0] for column, counts in sorted(seen.items())}
    return {column: code for column, code in most.items() if code != GENERAL}


def _column(letters: bytes) -> int:
    column = 0
    for letter in letters:
        column = column * 26 + letter - 64
    return column - 1
