"""Invented expense lines, always the same for a seed and a number of rows: fifteen columns, as CSV or as a workbook."""

from __future__ import annotations

from pathlib import Path

import duckdb

HEADER = (
    "Transaction number", "Booked on", "Employee", "Cost centre", "Department", "Supplier number", "Supplier",
    "Merchant category", "Expense type", "Net amount", "Tax", "Gross amount", "Currency", "Approved", "Note",
)  # fmt: skip
MONTHS = 12
EXPENSE_TYPES = (
    "Air travel", "Rail travel", "Hotel", "Meals", "Taxi", "Office supplies", "Software", "Training", "Telephone",
    "Postage", "Fuel", "Parking",
)  # fmt: skip


def rows(count: int, seed: int) -> str:
    """SQL of `count` lines; one in a thousand has a net amount of zero, one in twenty is a refund."""
    types = ", ".join(f"'{name}'" for name in EXPENSE_TYPES)
    return f"""
        WITH drawn AS (
            SELECT i, hash(i, {seed}, 1) % 366 AS day, hash(i, {seed}, 2) % 2000 AS employee,
                   hash(i, {seed}, 3) % 40 AS department, hash(i, {seed}, 4) % 5000 AS merchant,
                   hash(i, {seed}, 5) % {len(EXPENSE_TYPES)} AS kind, hash(i, {seed}, 6) % 100000 AS cents,
                   hash(i, {seed}, 7) % 1000 AS luck, hash(i, {seed}, 8) % 3 AS money, hash(i, {seed}, 9) % 10 AS noted
            FROM range({count}) AS r(i)
        ), priced AS (
            SELECT *, CASE WHEN luck = 0 THEN 0 WHEN luck < 50 THEN -1 ELSE 1 END * (cents + 1)::BIGINT AS net
            FROM drawn
        )
        SELECT 'T' || lpad(i::VARCHAR, 9, '0') AS "{HEADER[0]}",
               (DATE '2024-01-01' + day::INTEGER)::DATE AS "{HEADER[1]}",
               'E' || lpad(employee::VARCHAR, 4, '0') AS "{HEADER[2]}",
               'D' || lpad(department::VARCHAR, 3, '0') AS "{HEADER[3]}",
               'Department of matters ' || department AS "{HEADER[4]}",
               'S' || lpad(merchant::VARCHAR, 5, '0') AS "{HEADER[5]}",
               'Supplier ' || merchant || ' and daughters, Ltd' AS "{HEADER[6]}",
               lpad((3000 + merchant % 500)::VARCHAR, 4, '0') AS "{HEADER[7]}",
               [{types}][kind::INTEGER + 1] AS "{HEADER[8]}",
               (net / 100)::DECIMAL(14, 2) AS "{HEADER[9]}",
               (net // 5 / 100)::DECIMAL(14, 2) AS "{HEADER[10]}",
               ((net + net // 5) / 100)::DECIMAL(14, 2) AS "{HEADER[11]}",
               ['EUR', 'GBP', 'SEK'][money::INTEGER + 1] AS "{HEADER[12]}",
               luck % 7 <> 0 AS "{HEADER[13]}",
               CASE WHEN noted = 0 THEN 'see the receipt, page ' || luck END AS "{HEADER[14]}"
        FROM priced ORDER BY i"""


def write_csv(path: Path, count: int, seed: int) -> Path:
    """The lines as CSV, unless the file is there already."""
    if not path.exists():
        part = path.with_suffix(".part")
        duckdb.execute(f"COPY ({rows(count, seed)}) TO '{part}' (FORMAT csv, HEADER true)")
        part.rename(path)
    return path


def write_xlsx(path: Path, count: int, seed: int) -> Path:
    """The lines as a workbook of one sheet, with typed cells, unless the file is there already."""
    if path.exists():
        return path
    import xlsxwriter

    part = path.with_suffix(".part")
    with xlsxwriter.Workbook(part, {"constant_memory": True, "default_date_format": "yyyy-mm-dd"}) as book:
        sheet = book.add_worksheet("Lines")
        sheet.write_row(0, 0, HEADER)
        cursor = duckdb.execute(rows(count, seed))
        number = 1
        while chunk := cursor.fetchmany(10_000):
            for row in chunk:
                sheet.write_row(number, 0, row)
                number += 1
    part.rename(path)
    return path
