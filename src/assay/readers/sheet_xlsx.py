"""One sheet of an xlsx workbook: its marks, and that its XML says what the fast parser makes of it.

That parser takes XML that is not well formed, places cells as they come, and reads a reference to a text that it
cannot follow as the first text of all. What it would misread is refused here, with the place of the cell.
"""

from __future__ import annotations

import datetime
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from xml.parsers import expat

from assay.readers.cells import COLUMNS, ROWS
from assay.readers.compound import Malformed
from assay.readers.marks import UNCALCULATED, DamagedCell, Marks
from assay.readers.skim import Skimmer, below
from assay.readers.strings_xlsx import TEXT, Text
from assay.readers.xml import check_root, local, parser_of

_PLACE = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})", re.IGNORECASE)
_NUMBER = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?Z?)?")
_INDEX = re.compile(r"[0-9]{1,9}")
_TYPES = frozenset({"n", "s", "b", "e", "d", "str", "inlineStr"})

#: A reference (`&#65;`) in the attributes of a cell, which the fast parser does not follow.
_REFERRING = re.compile(rb"<(?:\w+:)?c\s[^<>]*&")
_HEAD = re.compile(rb"""<row r="([0-9]++)"([^<>]*+)>""")

#: Rows that are parsed to learn how wide a sheet is, before a pattern for its rows is made.
_ROWS_TO_LEARN = 100
#: Bytes of a part for each of its columns from which on a pattern is sooner made than the part is parsed.
_BYTES_A_COLUMN = 40_000
_WIDEST_PATTERN = 1_024


@dataclass(frozen=True)
class Workbook:
    """What the cells of a workbook refer to: how many shared texts and how many cell styles there are.

    `styles` is None where the workbook defines none, so that a reference to one means nothing.
    """

    texts: int
    styles: int | None


def read(archive: zipfile.ZipFile, part: str, book: Workbook) -> Marks:
    """The marks of a sheet. Raises `Malformed` or `XmlError` where it is not what the fast parser reads."""
    scan = _SheetScan(book)
    plain = _PlainRows(scan, archive.getinfo(part).file_size, book)
    skimmer = Skimmer(scan.parser, b"<sheetData>", b"</row>", plain.end, _look)
    scan.note_end = skimmer.note_end
    with archive.open(part) as file:
        try:
            skimmer.read(file)
        except expat.ExpatError as error:
            where = f" below row {scan.row + 1}" if scan.row >= 0 else ""
            raise Malformed(f"its XML is broken{where}: {expat.ErrorString(error.code)}") from error
    return scan.marks


def position(place: str) -> tuple[int, int]:
    """A reference such as B7 as zero-based (row, column). Raises `Malformed` where it is none."""
    found = _PLACE.fullmatch(place)
    if found is None:
        raise Malformed(f'"{place[:20]}" is no place of a cell')
    column = 0
    for letter in found[1].upper():
        column = column * 26 + ord(letter) - 64
    if column > COLUMNS or int(found[2]) > ROWS:
        raise Malformed(f"it has a cell at {place}, beyond row {ROWS} or column {COLUMNS}")
    return int(found[2]) - 1, column - 1


def hide_columns(marks: Marks, first: int, last: int) -> None:
    """Notes the columns from `first` to `last`, which count from one, as hidden."""
    marks.hidden_columns.update(range(first - 1, min(last, COLUMNS)))


def _look(parsed: bytes) -> None:
    if b"&" in parsed and _REFERRING.search(parsed):
        raise Malformed("the attributes of a cell are written in references")


def _is_hidden(attributes: dict[str, str]) -> bool:
    return attributes.get("hidden") in ("1", "true")


def _is_iso(value: str) -> bool:
    """Whether a text is a date, or a date and time, as a cell of type "d" holds it."""
    try:
        datetime.datetime.fromisoformat(value)
    except ValueError:
        return False
    return _DATE.fullmatch(value) is not None


class _PlainRows:
    """Knows the rows that need no parsing: cells in order, each with a value of its type, and nothing else."""

    def __init__(self, scan: _SheetScan, part_bytes: int, book: Workbook) -> None:
        self._scan, self._part_bytes, self._book = scan, part_bytes, book
        self._rows: re.Pattern[bytes] | None = None
        self._width = 0
        self._hides: dict[bytes, bool] = {}

    def end(self, window: bytes, at: int) -> int:
        """Where the run of plain rows ends that begins at `at`; their marks are noted."""
        self._learn()
        found = self._rows.match(window, at) if self._rows is not None and self._scan.is_utf8 else None
        if found is None:
            return at
        run = found[0]
        if not run.isascii():
            try:
                run.decode("utf-8")
            except UnicodeDecodeError:
                return at  # the parser says what is wrong
        last, marks = self._scan.row, self._scan.marks
        for number, attributes in _HEAD.findall(run):
            row = int(number) - 1
            if row <= last:
                raise DamagedCell(f"row {row + 1} stands below row {last + 1}", row)
            if attributes and self._hides_row(attributes):
                marks.hidden_rows.add(row)
            last = row
        if last >= ROWS:
            raise DamagedCell(f"row {last + 1} lies beyond any sheet", last)
        self._scan.row = last
        return found.end()

    def _learn(self) -> None:
        scan = self._scan
        if scan.parsed_rows < _ROWS_TO_LEARN or scan.width <= self._width:
            return
        scan.parsed_rows = 0
        if scan.width <= _WIDEST_PATTERN and self._part_bytes >= scan.width * _BYTES_A_COLUMN:
            self._width = scan.width
            self._rows = _row_pattern(self._width, self._book)

    def _hides_row(self, attributes: bytes) -> bool:
        """Whether attributes of a row hide it; few rows have attributes of their own, so few are parsed."""
        if attributes not in self._hides:
            found: dict[str, str] = {}
            parser = parser_of(lambda _, attributes: found.update(attributes))
            parser.Parse(b"<row" + attributes + b"></row>", True)
            self._hides[attributes] = _is_hidden(found)
        return self._hides[attributes]


def _row_pattern(width: int, book: Workbook) -> re.Pattern[bytes]:
    """Whole rows whose cells stand in the order of their columns, carry the row's own number, and are well formed.

    No form overlaps with another, so that nothing is tried twice: a row fits at the first try or is parsed.
    """
    shared = rb'(?: t="(?:shared|array)")?+(?: ref="[A-Z0-9:]++")?+(?: si="[0-9]++")?+'
    formula = rb"(?:<f" + shared + rb"(?:/>|>" + TEXT + rb"</f>))?+"
    style = rb"[0-9]++" if book.styles is None else below(book.styles)
    number = rb">" + formula + rb"<v>-?+[0-9]{1,99}+(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]{1,2}+)?+</v>"
    forms = (
        rb's"><v>' + below(book.texts) + rb"</v>",
        rb'inlineStr"><is><t(?: xml:space="preserve")?+>' + TEXT + rb"</t></is>",
        rb'str">' + formula + rb"<v>" + TEXT + rb"</v>",
        rb'b">' + formula + rb"<v>[01]</v>",
        rb'n"' + number,
    )
    # Each way on begins with another character.
    cell = rb'(?: s="' + style + rb'")?+(?:(?:' + number + rb'| t="(?:' + rb"|".join(forms) + rb"))</c>|/>)"
    cells = b"".join(rb'(?:<c r="' + _letters(index) + rb'\1"' + cell + rb")?+" for index in range(width))
    return re.compile(rb'(?:<row r="([1-9][0-9]*+)"[^<>&/]*+(?:/>|>' + cells + rb"</row>))++")


def _letters(index: int) -> bytes:
    letters = b""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = bytes([65 + rest]) + letters
    return letters


class _SheetScan:
    """Walks a sheet's XML; keeps the cells that hold an error or a formula without a value, and refuses the rest."""

    def __init__(self, book: Workbook) -> None:
        self.marks = Marks()
        self.row = -1
        self.width = self.parsed_rows = 0
        self.is_utf8 = True
        self.note_end: Callable[[bytes], None] = lambda _: None
        self.parser = parser_of(self._start, self._end, self._characters)
        self.parser.buffer_text = False  # a value's place is known only while it is new
        self.parser.XmlDeclHandler = self._declared
        self.parser.CommentHandler = self.parser.ProcessingInstructionHandler = self._beside
        self.parser.StartCdataSectionHandler = self._beside
        self._book = book
        self._above: list[str] = []
        self._column = -1
        self._has_rows = self._inside = False
        self._text: Text | None = None
        self._cell = _Cell({})
        self._value: list[str] = []
        self._value_at = -1

    def _declared(self, _: str, encoding: str | None, __: int) -> None:
        self.is_utf8 = encoding is None or encoding.casefold() in ("utf-8", "us-ascii")
        if not self.is_utf8:
            raise Malformed(f"its XML is written in {encoding}; workbooks are read in UTF-8")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        tag, above = local(name), self._above[-1] if self._above else ""
        self._above.append(tag)
        if self._text is not None:
            self._text.start(tag)
        elif not above:
            check_root(name, attributes, "worksheet")
        elif self._inside:
            self._start_inside(tag, above, attributes)
        elif tag == "sheetData":
            if self._has_rows or len(self._above) != 2:
                raise Malformed("it has several tables of cells")
            self._has_rows = self._inside = True
            self.note_end(b"<sheetData>")
        elif tag == "col" and _is_hidden(attributes):
            hide_columns(self.marks, int(attributes.get("min", 1)), int(attributes.get("max", 1)))

    def _start_inside(self, tag: str, above: str, attributes: dict[str, str]) -> None:
        if above == "sheetData" and tag == "row":
            self._start_row(attributes)
        elif above == "row" and tag == "c":
            self._start_cell(attributes)
        elif above == "c":
            self._start_content(tag)
        elif above in ("sheetData", "v", "f") or tag in ("sheetData", "row", "c"):
            raise DamagedCell(f"there is an element {tag} where none belongs", max(self.row, 0))

    def _start_row(self, attributes: dict[str, str]) -> None:
        before, self.row = self.row, self.row + 1
        number = attributes.get("r")
        if number is not None:
            if _INDEX.fullmatch(number) is None or not int(number):
                raise DamagedCell(f'"{number[:20]}" is no number of a row', before + 1)
            self.row = int(number) - 1
        if self.row <= before:
            raise DamagedCell(f"row {self.row + 1} stands below row {before + 1}", self.row)
        if self.row >= ROWS:
            raise DamagedCell(f"row {self.row + 1} lies beyond any sheet", self.row)
        self._column = -1
        self.parsed_rows += 1
        if _is_hidden(attributes):
            self.marks.hidden_rows.add(self.row)

    def _start_cell(self, attributes: dict[str, str]) -> None:
        before, self._column = self._column, self._column + 1
        place = attributes.get("r")
        if place is not None:
            try:
                row, self._column = position(place)
            except Malformed as error:
                raise DamagedCell(str(error), self.row) from error
            if row != self.row:
                raise DamagedCell(f"the cell {place} stands in row {self.row + 1}", self.row)
        if not before < self._column < COLUMNS:
            raise self._damaged("the cell is not in the order of the columns")
        self.width = max(self.width, self._column + 1)
        self._cell = _Cell(attributes)
        if self._cell.type not in _TYPES:
            raise self._damaged(f'the cell has the unknown type "{self._cell.type[:20]}"')
        style, styles = attributes.get("s"), self._book.styles
        if style is not None and styles is not None:
            if _INDEX.fullmatch(style) is None or int(style) >= styles:
                raise self._damaged(f'the cell has the style "{style[:20]}", but the workbook defines {styles}')

    def _start_content(self, tag: str) -> None:
        cell = self._cell
        if tag in cell.content or tag not in ("f", "v", "is") or (cell.content and tag != "v") or "is" in cell.content:
            raise self._damaged("the content of the cell is out of order")
        cell.content.append(tag)
        self._value, self._value_at = [], -1
        if tag == "is":
            self._text = Text("is")

    def _characters(self, data: str) -> None:
        if self._text is not None:
            self._text.characters(data)
        elif self._inside and self._above[-1] == "v":
            if self._value_at < 0:
                self._value_at = self.parser.CurrentByteIndex
            self._value.append(data)
        elif self._inside and self._above[-1] in ("c", "row", "sheetData") and data.strip():
            raise self._damaged("there is a text outside of any value")

    def _beside(self, *_: object) -> None:
        """A comment and the like: in the middle of a value the fast parser reads on one side of it only."""
        if self._inside and self._above[-1] == "v":
            raise self._damaged("the value of the cell is interrupted")

    def _end(self, name: str) -> None:
        tag = self._above.pop()
        if self._text is not None:
            if tag == "is":
                self._text = None
            else:
                self._text.end()
        elif not self._inside:
            return
        elif tag == "v":
            self._end_value()
        elif tag == "c":
            self._end_cell()
        elif tag == "row":
            self.note_end(b"</row>")
        elif tag == "sheetData":
            self._inside = False

    def _end_value(self) -> None:
        value, kind = "".join(self._value), self._cell.type
        self._cell.value = value
        if not value or kind in ("str", "inlineStr"):
            return
        if self.parser.CurrentByteIndex - self._value_at != len(value.encode()):
            raise self._damaged("the value of the cell is written in references")
        if kind == "s":
            if _INDEX.fullmatch(value) is None or int(value) >= self._book.texts:
                raise self._damaged(f'the cell refers to the text number "{value[:20]}" of {self._book.texts}')
        elif kind == "b":
            if value not in ("0", "1"):
                raise self._damaged("the cell is neither true nor false")
        elif kind == "d":
            if not _is_iso(value):
                raise self._damaged("the cell should be a date")
        elif kind == "n":
            if _NUMBER.fullmatch(value) is None or float(value) in (float("inf"), float("-inf")):
                raise self._damaged("the cell should be a number")

    def _end_cell(self) -> None:
        cell = self._cell
        if cell.type == "e":
            self.marks.errors[self.row, self._column] = cell.value or "#ERROR"
        # A calculated empty text is written as type "str" with an empty value: that one is no error.
        elif "f" in cell.content and not cell.value and not (cell.type == "str" and "v" in cell.content):
            self.marks.errors[self.row, self._column] = UNCALCULATED

    def _damaged(self, what: str) -> DamagedCell:
        return DamagedCell(what, self.row, self._column)


class _Cell:
    """The cell that is being read."""

    __slots__ = ("content", "type", "value")

    def __init__(self, attributes: dict[str, str]) -> None:
        self.type = attributes.get("t", "n")
        self.content: list[str] = []
        self.value = ""
