"""The same work written by hand in DuckDB: what an engineer in a hurry would write, quick and without any check.

Copy, typed read, staged Parquet, clean rows, canonical rows into keyed PostgreSQL tables, wide table and aggregate.
Run as `BY_HAND_URL=... python by_hand.py FILE FOLDER [tuned]`; prints the seconds of each step as JSON.
With `tuned` it drops the foreign keys of the large table before the copy and adds them again after it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

SCHEMA = """
DROP SCHEMA IF EXISTS by_hand CASCADE;
CREATE SCHEMA by_hand;
CREATE TABLE by_hand.department (code text PRIMARY KEY, name text NOT NULL);
CREATE TABLE by_hand.merchant (code text PRIMARY KEY, name text NOT NULL);
CREATE TABLE by_hand.expense_category (code text PRIMARY KEY, name text NOT NULL);
CREATE TABLE by_hand.employee (employee_no text PRIMARY KEY);
CREATE TABLE by_hand.expense_line (
    line_key text PRIMARY KEY, month date NOT NULL, spent_on date NOT NULL,
    employee_no text NOT NULL REFERENCES by_hand.employee,
    department_code text NOT NULL REFERENCES by_hand.department,
    merchant_code text NOT NULL REFERENCES by_hand.merchant,
    merchant_category_code text,
    expense_category_code text NOT NULL REFERENCES by_hand.expense_category,
    net_amount numeric(14,2) NOT NULL, tax_amount numeric(14,2) NOT NULL, gross_amount numeric(14,2) NOT NULL,
    currency_code text NOT NULL, approved boolean NOT NULL
);
"""
KEYS = ("employee_no", "department_code", "merchant_code", "expense_category_code")
DROP_KEYS = "; ".join(f"ALTER TABLE by_hand.expense_line DROP CONSTRAINT expense_line_{key}_fkey" for key in KEYS)
ADD_KEYS = "; ".join(
    f"ALTER TABLE by_hand.expense_line ADD CONSTRAINT expense_line_{key}_fkey FOREIGN KEY ({key}) "
    f"REFERENCES by_hand.{key.removesuffix('_code').removesuffix('_no')}"
    for key in KEYS
)
COLUMNS = {
    "transaction_no": "VARCHAR", "booked_on": "DATE", "employee_no": "VARCHAR", "department_code": "VARCHAR",
    "department": "VARCHAR", "merchant_code": "VARCHAR", "merchant": "VARCHAR", "mcc": "VARCHAR",
    "expense_type": "VARCHAR", "net_amount": "DECIMAL(14,2)", "tax_amount": "DECIMAL(14,2)",
    "gross_amount": "DECIMAL(14,2)", "currency": "VARCHAR", "approved": "BOOLEAN", "note": "VARCHAR",
}  # fmt: skip
PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
CANONICAL = {
    "department": "SELECT department_code, min(department) FROM clean GROUP BY 1",
    "merchant": "SELECT merchant_code, min(merchant) FROM clean GROUP BY 1",
    "expense_category": "SELECT lower(replace(expense_type, ' ', '-')), min(expense_type) FROM clean GROUP BY 1",
    "employee": "SELECT DISTINCT employee_no FROM clean",
    "expense_line": "SELECT transaction_no, date_trunc('month', booked_on)::DATE, booked_on, employee_no, "
    "department_code, merchant_code, mcc, lower(replace(expense_type, ' ', '-')), net_amount, tax_amount, "
    "gross_amount, currency, approved FROM clean",
}


def main(file: Path, folder: Path, url: str, tuned: bool) -> None:
    """Does the work once."""
    started = time.monotonic()
    import duckdb
    import duckdb_extension_postgres_scanner as scanner
    import psycopg

    seconds = {"start": time.monotonic() - started}

    def step(name: str, since: float) -> float:
        now = time.monotonic()
        seconds[name] = now - since
        return now

    now = time.monotonic()
    folder.mkdir(parents=True)
    landed = folder / "landed.csv"
    shutil.copyfile(file, landed)
    now = step("land", now)

    db = duckdb.connect(config={"memory_limit": "1GB", "temp_directory": str(folder / "spill")})
    names = ", ".join(f"'{name}': '{kind}'" for name, kind in COLUMNS.items())
    readable, clean = folder / "readable.parquet", folder / "clean.parquet"
    db.execute(f"COPY (FROM read_csv('{landed}', header=true, columns={{{names}}})) TO '{readable}' ({PARQUET})")
    now = step("approve", now)

    db.execute(
        f"COPY (FROM '{readable}' WHERE net_amount <> 0 AND gross_amount = net_amount + tax_amount) "
        f"TO '{clean}' ({PARQUET})"
    )
    now = step("clean", now)

    db.execute(f"CREATE VIEW clean AS FROM '{clean}'")
    extension = next(Path(scanner.__file__).parent.rglob("postgres_scanner.duckdb_extension"))
    db.execute(f"LOAD '{extension}'")
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        if tuned:
            cursor.execute(DROP_KEYS)
        for table, select in CANONICAL.items():
            rows = folder / f"{table}.pgcopy"
            db.execute(f"COPY ({select}) TO '{rows}' (FORMAT postgres_binary)")
            with cursor.copy(f"COPY by_hand.{table} FROM STDIN (FORMAT binary)") as copy, rows.open("rb") as reader:
                while chunk := reader.read(1 << 20):
                    copy.write(chunk)
            rows.unlink()
        if tuned:
            cursor.execute(ADD_KEYS)
    now = step("conform", now)

    db.execute(
        "CREATE TABLE department AS SELECT department_code AS code, min(department) AS name FROM clean GROUP BY 1; "
        "CREATE TABLE merchant AS SELECT merchant_code AS code, min(merchant) AS name FROM clean GROUP BY 1"
    )
    db.execute(
        "COPY (SELECT transaction_no AS line_key, date_trunc('month', booked_on)::DATE AS month, "
        "booked_on AS spent_on, employee_no, d.name AS department, m.name AS merchant, mcc AS merchant_category_code, "
        "expense_type AS expense_category, net_amount, tax_amount, gross_amount, currency AS currency_code, approved "
        "FROM clean AS c JOIN department AS d ON d.code = c.department_code "
        f"JOIN merchant AS m ON m.code = c.merchant_code) TO '{folder / 'expense_wide.parquet'}' ({PARQUET})"
    )
    db.execute(
        "COPY (SELECT date_trunc('month', booked_on)::DATE AS month, d.name AS department, "
        "expense_type AS expense_category, count(*) AS lines, sum(gross_amount)::DECIMAL(18, 2) AS gross_amount "
        "FROM clean AS c JOIN department AS d ON d.code = c.department_code GROUP BY ALL) "
        f"TO '{folder / 'expense_by_month.parquet'}' ({PARQUET})"
    )
    step("denormalize", now)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), os.environ["BY_HAND_URL"], sys.argv[3:] == ["tuned"])
