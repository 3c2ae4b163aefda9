"""Damages to workbooks: of their archive as a whole, and of one part inside it, packed again with right checksums."""

from __future__ import annotations

import io
import random
import re
import zipfile
from collections.abc import Callable

SHEET, TEXTS = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
_BESIDE = ("xl/workbook.xml", "xl/styles.xml", "xl/_rels/workbook.xml.rels", "[Content_Types].xml")
_INSERTED = (b"\0", b"<", b">", b"&", b'"', b"'", b"/", b" ", b"-", b"0", b"7", b".", b"e", b"A", b"\n", b"&amp;",
             b"<!-- -->", b"<![CDATA[1]]>", b"&#49;", b"<v>", b"</c>", b'r="A1" ', b"\xc3\xa9")  # fmt: skip
_VALUES = (b"-7", b"7", b"99", b"2.0", b" 2", b"1e3", b"inf", b"0x1", b"", b"&#49;", b"1<!-- -->2", b"007", b"x",
           b"4.", b"1,5", b"123456789012345678", b"true", b"<![CDATA[5]]>")  # fmt: skip
_VALUE = re.compile(rb"(?<=<v>)[^<]*(?=</v>)")
_CELL = re.compile(rb"<c [^>]*?(?:/>|>.*?</c>)")
_ROW = re.compile(rb"<row [^>]*>.*?</row>")
_WITH_PLACE = re.compile(rb'(?<= r=")[A-Z]+[0-9]+(?=")')
_TYPE = re.compile(rb' t="[a-zA-Z]*"')
_TEXT = re.compile(rb"<si>.*?</si>")


def damaged_workbook(data: bytes, chance: random.Random) -> bytes:
    """One damage of the kinds that transport, disks, programs and people do."""
    if chance.random() < 0.25:
        return _bytes(data, chance, (b"\0",))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = chance.choices((SHEET, TEXTS, chance.choice(_BESIDE)), (6, 2, 1))[0]
    parts[name] = _part(parts[name], name, chance)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def _part(content: bytes, name: str, chance: random.Random) -> bytes:
    ways: tuple[Callable[[bytes, random.Random], bytes], ...] = (_in_values, _markup)
    if name == SHEET:
        ways = (*ways, _values, _values, _columns, _rows, _cells, _types, _places)
    elif name == TEXTS:
        ways = (*ways, _texts)
    return chance.choice(ways)(content, chance)


def _markup(content: bytes, chance: random.Random) -> bytes:
    return _bytes(content, chance, _INSERTED)


def _bytes(data: bytes, chance: random.Random, inserted: tuple[bytes, ...]) -> bytes:
    """Bits flipped, the end lost, bytes lost, put in, or doubled."""
    at = chance.randrange(len(data))
    way = chance.randrange(6)
    if way <= 1:
        flipped = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            flipped[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return bytes(flipped)
    if way == 2:
        return data[:at]
    if way == 3:
        return data[:at] + data[at + chance.randint(1, 8) :]
    if way == 4:
        return data[:at] + chance.choice(inserted) + data[at:]
    return data[:at] + data[max(0, at - chance.randint(1, 80)) : at] + data[at:]


def _in_values(content: bytes, chance: random.Random) -> bytes:
    """One character between two tags is another one, or gone: mostly another workbook that is as good."""
    places = [match.span() for match in re.finditer(rb"(?<=>)[^<]+(?=<)", content)]
    if not places:
        return content
    at = chance.randrange(*chance.choice(places))
    new = chance.choice([b"", b"0", b"7", b"x", b".", b"-", b"E", bytes([content[at] ^ 1 << chance.randrange(8)])])
    return content[:at] + new + content[at + chance.randint(0, 1) :]


def _values(content: bytes, chance: random.Random) -> bytes:
    return _one(content, _VALUE, lambda _: chance.choice(_VALUES), chance)


def _types(content: bytes, chance: random.Random) -> bytes:
    new = chance.choice((b"", b' t="s"', b' t="n"', b' t="b"', b' t="str"', b' t="e"', b' t="d"', b' t="inlineStr"'))
    return _one(content, _TYPE, lambda _: new, chance)


def _columns(content: bytes, chance: random.Random) -> bytes:
    """Two columns are exchanged: in all rows, from one row on, in their places or in their references alone."""
    one, other = chance.sample(b"ABCDEF", 2)
    first = chance.randint(1, 4)

    def swapped(match: re.Match[bytes]) -> bytes:
        letter, number = match[0][:1], match[0][1:]
        if int(number) < first or letter[0] not in (one, other):
            return match[0]
        return bytes([other if letter[0] == one else one]) + number

    changed = _WITH_PLACE.sub(swapped, content)
    if chance.random() < 0.5:
        # In the order of their new places, as a program would write it.
        changed = _ROW.sub(lambda row: _sorted(row[0]), changed)
    return changed


def _sorted(row: bytes) -> bytes:
    cells = _CELL.findall(row)
    head = row[: row.find(b">") + 1]
    return head + b"".join(sorted(cells, key=lambda cell: cell.split(b'"')[1])) + b"</row>"


def _rows(content: bytes, chance: random.Random) -> bytes:
    """A row is lost, doubled, or put elsewhere."""
    rows = list(_ROW.finditer(content))
    one, other = (chance.choice(rows) for _ in range(2))
    way = chance.randrange(3)
    if way == 0:
        return content[: one.start()] + content[one.end() :]
    if way == 1:
        return content[: one.end()] + one[0] + content[one.end() :]
    first, last = sorted((one, other), key=lambda match: match.start())
    if first.start() == last.start():
        return content
    between = content[first.end() : last.start()]
    return content[: first.start()] + last[0] + between + first[0] + content[last.end() :]


def _cells(content: bytes, chance: random.Random) -> bytes:
    """A cell is lost, doubled, or has the content of another."""
    cells = list(_CELL.finditer(content))
    one, other = (chance.choice(cells) for _ in range(2))
    new = chance.choice((b"", one[0] + one[0], other[0], one[0].replace(b"</c>", other[0][other[0].find(b">") + 1 :])))
    return content[: one.start()] + new + content[one.end() :]


def _places(content: bytes, chance: random.Random) -> bytes:
    """A cell says that it stands elsewhere, or nothing of its place; or a row does."""
    if chance.random() < 0.3:
        number = chance.choice((b"2", b"9", b"0", b"x", b"1048577"))
        return _one(content, re.compile(rb'<row r="[0-9]+"'), lambda _: b'<row r="' + number + b'"', chance)
    if chance.random() < 0.3:
        return _one(content, re.compile(rb' r="[A-Z]+[0-9]+"'), lambda _: b"", chance)
    new = chance.choice((b"A1", b"B2", b"C3", b"F2", b"G2", b"b2", b"B02", b"2B", b"B", b"AAAA2", b"C1048577", b"$B$2"))
    return _one(content, _WITH_PLACE, lambda _: new, chance)


def _texts(content: bytes, chance: random.Random) -> bytes:
    """A shared text is lost, doubled, empty, or exchanged with another."""
    texts = list(_TEXT.finditer(content))
    one, other = (chance.choice(texts) for _ in range(2))
    new = chance.choice((b"", one[0] + one[0], b"<si/>", b"<si><t/></si>", other[0], b"<si><r><t>a</t></r></si>"))
    return content[: one.start()] + new + content[one.end() :]


def _one(
    content: bytes, pattern: re.Pattern[bytes], new: Callable[[bytes], bytes], chance: random.Random
) -> bytes:
    """One of the places where a pattern fits is written anew."""
    found = list(pattern.finditer(content))
    if not found:
        return content
    match = chance.choice(found)
    return content[: match.start()] + new(match[0]) + content[match.end() :]
