"""No command loads what it does not use: that is what keeps them quick."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from shop_project import Shop

HEAVY = frozenset({
    "alembic", "authlib", "cedarpy", "cryptography", "duckdb", "joserfc", "openpyxl", "psycopg", "pwdlib", "pyarrow",
    "pydantic", "pyiceberg", "python_calamine", "requests", "rich", "sqlalchemy", "sqlglot", "yaml",
})  # fmt: skip

#: What it takes to open a platform, to decide, and to sign what was decided.
ASKING = frozenset({"cedarpy", "cryptography", "psycopg", "pydantic", "yaml"})

SCRIPT = """
import sys, json
sys.argv = ["assay", *sys.argv[1:]]
from assay.cli import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def loaded(shop: Shop, *words: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", SCRIPT, *words], cwd=shop.root, capture_output=True, text=True)
    return set(json.loads(done.stderr.splitlines()[-1])) & HEAVY


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (["--help"], set()),
        (["status", "--help"], set()),
        (["sql", "--help"], set()),
        (["plan", "--help"], set()),
        (["status"], ASKING | {"rich"}),
        (["batch", "list"], ASKING | {"rich"}),
        (["schema"], {"pydantic", "yaml"}),
        (["zone", "explain", "shop"], ASKING | {"rich"}),
        (["access", "matrix"], ASKING | {"rich"}),
        (["whoami"], {"psycopg", "pydantic", "yaml"}),
        (["plan"], ASKING | {"sqlglot"}),
        (["lineage", "analytical.by_month", "--columns"], ASKING | {"rich", "sqlglot"}),
    ],
)
def test_a_command_loads_only_what_it_uses(standing_shop: Shop, words: list[str], allowed: frozenset[str]) -> None:
    assert loaded(standing_shop, *words) <= allowed
