"""What another zone holds and does changes not a byte of what somebody sees who has no role there."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from tests.cli.test_every_command import call
from tests.permissions.test_every_door import ABOVE, ADMINISTRATOR, ROLES, ZONE

from assay.catalog import records
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import opened
from assay.pipelines.run import ingest
from assay.pipelines.withdraw import withdraw
from assay.security.principals import User
from assay.zones.project import load_project
from shop_project import FILES, TILL, Shop

#: How long something has waited is a matter of the clock.
WAITED = re.compile(r'"waited_seconds": \d+|\((just now|\d+ \w+)\)')
ELSEWHERE = "elsewhere@example.org"
#: What a member of the shop can point at his zone, at the other one, and at nothing; it changes nothing in the shop.
CALLS = (
    "status", "plan", "plan --no-ddl", "batch list", "batch list --limit 1", "batch list --zone other",
    "batch list --state held", "batch show 1", "batch show {next}", "batch show 99999", "batch return {next}",
    "review list", "review list --zone other", "review list --mine", "review show 2", "review show {next}",
    "review release {next} --reason x", "review reject {next} --reason x",
    "quarantine list", "quarantine list --zone other", "quarantine show 1", "quarantine show {next}",
    "quarantine export {next} -o {new}", "replay 1", "replay {next}", "replay {next} --yes", "replay --failed other",
    "rebuild shop.analytical.by_month", "rebuild other.analytical.by_month", "rebuild other.operational.nothing",
    "withdraw 1 --reason x", "withdraw {next} --reason x", "retry {next}", "retry 99999",
    "run other", "run other/sales", "run shop", "ingest {file} --zone other --pipeline sales",
    "ingest {file} --zone other --pipeline nothing", "ingest {file} --zone shop --pipeline sales",
    "lineage operational.sale", "lineage operational.sale --zone shop",
    "lineage analytical.by_month --zone other", "lineage operational.sale --zone other --where \"amount > 0\"",
    "zone explain shop", "zone explain other", "access matrix", "access matrix --zone other",
    "access explain {who} read other.operational.sale", "access explain {who} read shop.operational.sale",
    "access explain {elsewhere} read other.operational.sale", "audit list --until {until}",
    "audit list --zone other --until {until}", "audit export {new}", "verify audit", "keys show", "maintain --dry-run",
    "doctor", "account list", "token list --all", "whoami",
)  # fmt: skip


@pytest.fixture(scope="module")
def two(new_shop: Callable[[], Shop]) -> Shop:
    """A shop with a held batch, beside another zone, which holds nothing yet."""
    shop = new_shop()
    for name, text in FILES.items():
        path = shop.root / name.replace("zones/shop/", "zones/other/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("id: shop.", "id: other."))
    shop.write("zones/shop/zone.yaml", ZONE)
    (shop.root / "zones/other/zone.yaml").write_text(f"title: Other\nowner: {ELSEWHERE}\n")
    shop.people(f"administrators: [{ADMINISTRATOR}]\nauditors: [{ABOVE}]\n")
    shop.edit("zones/shop/sales/pipeline.yaml", "steward: never", "steward: {default: never, kinds: {rule: always}}")
    (shop.root / "till-1.csv").write_text(TILL.replace("0.00", "1.00"))
    (shop.root / "till-2.csv").write_text(TILL.replace("\n1,", "\n10,"))
    deliver(shop, "shop", "till-1.csv", "till-2.csv")
    return shop


def deliver(shop: Shop, zone: str, *names: str) -> list[str]:
    """Takes files in as somebody without a role; gives the states of their batches."""
    with opened(load_project(shop.root), user=User("deliverer")) as platform:
        if records.applied_version(platform.connection) is None:
            apply(platform)
        files = [shop.root / name for name in names]
        return [one.batch.state for one in ingest(platform, pipeline_of(platform, zone, "sales"), files, None)]


def seen(shop: Shop, who: str, until: datetime) -> dict[str, tuple[int, str, str]]:
    """What somebody is told by every call, of which each second one asks for JSON: exit code, output, and the error.

    The next role asks for JSON where this one asked for text.
    """
    found = {}
    for number, written in enumerate(CALLS, list(ROLES).index(who)):
        words = written.format(
            next=3, who=who, elsewhere=ELSEWHERE, until=f"{until:%Y-%m-%dT%H:%M:%S}", file=shop.root / "till-1.csv",
            new=shop.root / "never.xlsx",
        ) + (" --json" if number % 2 else "")  # fmt: skip
        result = call(shop, words, user=who)
        found[words] = (result.exit_code, WAITED.sub("…", result.output), str(result.exception))
    return found


def test_what_another_zone_holds_and_does_changes_nothing_that_members_of_the_shop_are_told(two: Shop) -> None:
    until = datetime.now(UTC)
    before = {who: seen(two, who, until) for who in ROLES}
    answers = [code for told in before.values() for code, _, _ in told.values()]
    assert answers.count(0) > 30 and answers.count(1) > 30  # of refusals and of answers there are many
    texts = (TILL, "nonsense\n1\n", TILL.replace("tea", "salt").replace("\n1,", "\n7,"))
    for name, text in zip("abc", texts, strict=True):
        (two.root / f"till-{name}.csv").write_text(text)
    two.write("zones/other/waiting.txt", "no file of the configuration")
    assert deliver(two, "other", "till-a.csv", "till-b.csv", "till-c.csv") == ["done", "rejected", "done"]
    with opened(load_project(two.root), user=User(ELSEWHERE)) as platform:
        withdraw(platform, [3], "a mistake")
    for who, told in before.items():
        for words, answer in seen(two, who, until).items():
            assert answer == told[words], (who, words)
    assert '"batch": 5' in call(two, "replay 5 --json", user=ELSEWHERE).stdout  # it is there, for its owner
