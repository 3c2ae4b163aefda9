"""The marks of an xlsx workbook: its parts, and what each of them says."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from assay.readers import formats, sheet_xlsx, strings_xlsx
from assay.readers.compound import Malformed
from assay.readers.marks import DamagedCell, Marks
from assay.readers.sheet_xlsx import Workbook, position
from assay.readers.xml import check_root, local, walk

_HEAD_BYTES = 1 << 12
#: The namespaces of references to parts, in the form that all programs write and in the strict one.
_RELATIONSHIPS = (
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    "http://purl.oclc.org/ooxml/officeDocument/relationships",
)
_DIMENSION = re.compile(rb"""<(?:\w+:)?dimension\b[^>]*?\sref\s*=\s*["']([A-Z]+\d+)(?::([A-Z]+\d+))?["']""")


def find(path: Path, sheets: Sequence[str | None]) -> dict[int, Marks]:
    """The marks of each work sheet, by its index in `sheets`, which has None for sheets of other kinds.

    Raises `Malformed` where a part that the fast parser relies on is not what it makes of it.
    """
    found: dict[int, Marks] = {}
    with zipfile.ZipFile(path) as archive:
        parts = sheet_parts(archive, "xl/workbook.xml")
        actual = parts_by_name(archive)
        styles, texts = actual.get("xl/styles.xml"), actual.get("xl/sharedstrings.xml")
        known = formats.styles(archive, styles)
        book = Workbook(strings_xlsx.count(archive, texts), None if styles is None else len(known))
        for index, name in enumerate(sheets):
            if name is None:
                continue
            if name not in parts:
                raise Malformed(f'the sheet "{name}" has no part of its own')
            try:
                found[index] = sheet_xlsx.read(archive, parts[name], book)
            except DamagedCell as error:
                error.sheet = name
                raise
            except Malformed as error:
                raise Malformed(f'the sheet "{name}" is damaged: {error}') from error
            found[index].formats = formats.of_columns(archive, parts[name], known)
    return found


def area(path: Path) -> tuple[str, int] | None:
    """The largest area that a sheet says it has, as (reference, cells); None when no sheet says."""
    largest: tuple[str, int] | None = None
    with zipfile.ZipFile(path) as archive:
        for part in archive.namelist():
            if not re.search(r"worksheets[/\\][^/\\]*\.xml$", part, re.IGNORECASE):
                continue
            with archive.open(part) as file:
                match = _DIMENSION.search(file.read(_HEAD_BYTES))
            if match is None:
                continue
            first, last = match[1].decode(), (match[2] or match[1]).decode()
            (top, left), (bottom, right) = position(first), position(last)
            cells = (bottom - top + 1) * (right - left + 1)
            if largest is None or cells > largest[1]:
                largest = f"{first}:{last}", cells
    return largest


def sheet_parts(archive: zipfile.ZipFile, workbook: str) -> dict[str, str]:
    """Sheet name → name of its part in the archive, through the workbook's relationships."""
    actual = parts_by_name(archive)
    targets = relationships(archive, actual, workbook)
    parts: dict[str, str] = {}
    spaces: dict[str, str] = {}

    def sheet(name: str, attributes: dict[str, str]) -> None:
        if not spaces:
            check_root(name, attributes, "workbook")
        declared = (key for key in attributes if key.startswith("xmlns"))
        spaces.update((key.removeprefix("xmlns:"), attributes[key]) for key in declared)
        if local(name) == "sheet":
            part = actual.get(targets.get(_reference(attributes, spaces), "").casefold())
            title = attributes.get("name", "")
            if title in parts:
                raise Malformed(f'it lists two sheets named "{title}"')
            if part is not None:
                parts[title] = part

    with archive.open(actual[workbook]) as file:
        walk(file, sheet)
    return parts


def _reference(attributes: dict[str, str], spaces: dict[str, str]) -> str:
    """The identity of the relationship that an entry of the list of sheets names."""
    for attribute, value in attributes.items():
        prefix, _, tag = attribute.rpartition(":")
        if prefix and tag == "id":
            if spaces.get(prefix) not in _RELATIONSHIPS:
                raise Malformed(f"its list of sheets refers to parts by {spaces.get(prefix)}")
            return value
    return ""


def parts_by_name(archive: zipfile.ZipFile) -> dict[str, str]:
    """The archive's members by the names that relationships use: some writers use other cases or back slashes."""
    return {name.replace("\\", "/").casefold(): name for name in archive.namelist()}


def relationships(archive: zipfile.ZipFile, actual: dict[str, str], workbook: str) -> dict[str, str]:
    """The workbook's relationships: identity → full name of the part."""
    targets: dict[str, str] = {}

    def relation(name: str, attributes: dict[str, str]) -> None:
        if local(name) == "Relationship":
            target = attributes.get("Target", "").replace("\\", "/")
            full = target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")
            targets[attributes.get("Id", "")] = full

    folder, _, name = workbook.rpartition("/")
    with archive.open(actual[f"{folder}/_rels/{name}.rels"]) as file:
        walk(file, relation)
    return targets
