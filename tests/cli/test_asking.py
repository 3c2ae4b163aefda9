"""`assay sql`: as whom, in which form, and what is told beside the result."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assay.cli import assay
from assay.errors import Denied, Unavailable, Usage
from assay.pipelines.landing import pipeline_of
from assay.pipelines.run import ingest
from assay.stewardship.formulas import original
from serving.hidden import ANALYST, CANARY, HEADER, OWNER, STRANGER, as_user, hiding
from shop_project import Shop

#: Cells and a file name that would act somewhere, if they were taken for more than text.
FORMULA = "=HYPERLINK(\"http://127.0.0.1\")"
NAMES = (
    "till-'; DROP TABLE assay.batch; --.csv", "till-$(touch struck).csv", "till-`touch struck`.csv",
    "till-[bold red]x[link=x].csv", "till-\x1b[31m.csv", "till-..%2f..%2fetc.csv", "till-\n=1+1.csv", "till--rf.csv",
    "till-{0}%s%n.csv", "till-<script>alert(1)<script>.csv",
)  # fmt: skip


@pytest.fixture(scope="module")
def hidden(new_shop: Callable[[], Shop]) -> Shop:
    return hiding(new_shop, salt=f'3,2025-01-09,salt,5.00,"{FORMULA.replace(chr(34), chr(34) * 2)}"\n')


def call(shop: Shop, *words: str) -> Result:
    runner = CliRunner(env={"ASSAY_USER": OWNER})
    return runner.invoke(assay, [*words, "--project", str(shop.root)], catch_exceptions=False)


def test_as_shows_what_somebody_sees_and_says_that_it_is_not_all(hidden: Shop) -> None:
    statement = "SELECT number, note FROM operational.sale ORDER BY number"
    his = call(hidden, "sql", statement, "--as", ANALYST)
    assert CANARY not in his.output and "****" in his.stdout
    assert "you see some of the rows of operational.sale" in his.stderr
    assert "masked for you: operational.sale.note" in his.stderr
    assert CANARY in call(hidden, "sql", statement, "--as", OWNER).stdout


def test_a_table_that_is_not_for_him_ends_as_denied_and_says_what_he_may_ask(hidden: Shop) -> None:
    with pytest.raises(Denied) as caught:
        call(hidden, "sql", "SELECT * FROM shop.operational.sale", "--as", STRANGER)
    assert caught.value.what == "there is no table shop.operational.sale that you may read"
    assert caught.value.next == 'assay sql "SHOW TABLES"'


def test_csv_gives_no_formula_and_loses_nothing(hidden: Shop) -> None:
    statement = "SELECT note AS \"=note\", number FROM operational.sale WHERE number = '3'"
    found = call(hidden, "sql", statement, "--as", OWNER, "--csv")
    header, row = csv.reader(io.StringIO(found.stdout))
    assert header == ["'=note", "number"] and row == [f"'{FORMULA}", "3"]
    assert original(row[0]) == FORMULA


def test_json_keeps_numbers_and_takes_no_name_twice(hidden: Shop) -> None:
    found = call(hidden, "sql", "SELECT count(*) AS n, sum(_row) AS s FROM operational.sale", "--as", OWNER, "--json")
    assert json.loads(found.stdout) == [{"n": 4, "s": 14}]
    with pytest.raises(Usage):
        call(hidden, "sql", "SELECT 1 AS a, 2 AS a", "--as", OWNER, "--json")


def test_a_question_that_takes_too_long_is_ended(hidden: Shop) -> None:
    endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3"
    with pytest.raises(Unavailable, match="took longer than 1 seconds"):
        call(hidden, "sql", endless, "--as", OWNER, "--timeout", "1")


def test_ctrl_c_ends_a_question_and_its_process(hidden: Shop) -> None:
    endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3"
    words = [sys.executable, "-m", "assay.cli", "sql", endless, "--as", OWNER, "--timeout", "300"]
    asking = subprocess.Popen(words, cwd=hidden.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        child = None
        for _ in range(600):
            child = child or next(iter(_children(asking.pid)), None)
            if child is not None and _busy(child):
                break
            time.sleep(0.05)
        assert child is not None
        asking.send_signal(signal.SIGINT)
        assert asking.wait(30) != 0
        assert not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split(")")[1][:3]
    finally:
        if asking.poll() is None:
            asking.kill()
        asking.communicate()


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_the_name_of_a_file_is_a_text_and_nothing_else(name: str, hidden: Shop) -> None:
    file = hidden.root / name
    file.write_text(HEADER + f"9{NAMES.index(name)},2025-05-01,tea,1.00,\n")
    outside = sorted(hidden.root.parent.iterdir())
    with as_user(hidden, OWNER) as platform:
        (done,) = ingest(platform, pipeline_of(platform, "shop", "sales"), [file], None)
    assert (done.batch.state, done.batch.file_name) == ("done", name)
    shown = call(hidden, "batch", "list").stdout
    assert "\x1b" not in shown and not any(line.startswith("=1+1") for line in shown.splitlines())
    assert name in [one["file_name"] for one in json.loads(call(hidden, "batch", "list", "--json").stdout)]
    asked = "SELECT count(*) AS n FROM operational.sale WHERE number = '9" + str(NAMES.index(name)) + "'"
    assert json.loads(call(hidden, "sql", asked, "--as", OWNER, "--json").stdout) == [{"n": 1}]
    assert not (hidden.root / "struck").exists() and not Path("struck").exists()
    assert sorted(hidden.root.parent.iterdir()) == outside
    file.unlink()


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _busy(pid: int) -> bool:
    """Whether a process has used half a second of the processor since it began to answer."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK") > 2
