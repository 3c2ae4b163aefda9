"""Planted secrets and personal data show in nothing that leaves by itself, and to nobody who may not see them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.cli.test_every_command import CALLS, ENDLESS, call
from tests.permissions.test_every_door import ADMINISTRATOR, ROLES, STRANGER, ZONE
from tests.pipelines.telling.servers import mail_server

from assay.pipelines import observe
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import opened
from assay.pipelines.run import ingest
from assay.pipelines.telling.telemetry import Telemetry
from assay.pipelines.telling.tell import tell
from assay.security import permissions
from assay.security.principals import User
from assay.zones.project import load_project
from shop_project import FILES, OWNER, TILL, Shop

#: Each would be seen at once, and its shape has nothing of it.
NAME, CARD, PAY, TYPO = "Quimby-Zephyrine", "qz99@qz.example", "918273.64", "qzmuch"
CANARIES = (NAME, CARD, PAY, TYPO)
PLANTED = """\
      - {name: buyer, physicalName: Buyer, logicalType: string, classification: confidential}
      - name: card
        physicalName: Card
        logicalType: string
        customProperties: [{property: personalData, value: [email]}]
      - name: pay
        physicalName: Pay
        logicalType: number
        physicalType: decimal(12,2)
        classification: restricted
        quality: [{name: pay_is_small, type: custom, engine: assay, implementation: pay < 900000}]
"""


def rows(first: int, pay: str = "1.00", twice: bool = False) -> str:
    """A delivery whose every row holds the canaries."""
    head, *lines = TILL.splitlines()
    planted = [f"{first if twice else first + n}{line[1:]},{NAME},{CARD},{pay}" for n, line in enumerate(lines)]
    return "\n".join([f"{head},Buyer,Card,Pay", *planted]) + "\n"


@pytest.fixture(scope="module")
def planted(new_shop: Callable[[], Shop]) -> Iterator[tuple[Shop, str]]:
    """A shop whose deliveries hold canaries, and all that left it while it took them in."""
    shop = new_shop()
    notify = "notify:\n  - {on: [rejected, held, done], to: [owner, steward, deliverer]}\n"
    shop.write("zones/shop/zone.yaml", ZONE + notify)
    shop.people(f"administrators: [{ADMINISTRATOR}]\nauditors: [{ADMINISTRATOR}]\n")
    contract = FILES["zones/shop/sales/contracts/till.odcs.yaml"]
    shop.write("till.odcs.yaml", contract + PLANTED)
    shop.edit("pipeline.yaml", "steward: never", "steward: {default: never, kinds: {pay_is_small: always}}")
    files = {
        "done": rows(100), "typo": rows(200, TYPO), "odd": rows(300, PAY), "twice": rows(400, twice=True),
    }  # fmt: skip
    said: list[str] = []
    spans = InMemorySpanExporter()
    with mail_server() as mails:
        mail = f"{{host: 127.0.0.1, port: {mails.port}, security: none, from: assay@example.org, domain: example.org}}"
        lineage = f"lineage: {{file: {shop.root}/lineage.jsonl}}"
        shop.edit("assay.yaml", "{data: data,", f"{{data: data, mail: {mail}, {lineage},")
        observe.use(Telemetry("shop/local", SimpleSpanProcessor(spans), InMemoryMetricReader()))
        heard = Heard(said)
        logging.getLogger("assay").addHandler(heard)
        try:
            with opened(load_project(shop.root), user=User("deliverer")) as platform:
                apply(platform)
                for name, text in files.items():
                    (shop.root / f"till-{name}.csv").write_text(text)
                    ingest(platform, pipeline_of(platform, "shop", "sales"), [shop.root / f"till-{name}.csv"], None)
                tell(platform)
                said += [str(row) for row in platform.connection.execute("SELECT * FROM assay.event").fetchall()]
        finally:
            logging.getLogger("assay").removeHandler(heard)
            observe.use(None)
        said += [str(mail) for mail in mails.taken]
    said += [span.to_json() for span in spans.get_finished_spans()]
    said.append((shop.root / "lineage.jsonl").read_text())
    assert len(mails.taken) >= 4 and len(spans.get_finished_spans()) > 8
    yield shop, "\n".join(said)


class Heard(logging.Handler):
    """What the log says, with all that a record carries."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        self._said.append(f"{record.getMessage()} {record.__dict__}")


def test_the_deliveries_went_every_way(planted: tuple[Shop, str]) -> None:
    shop, _ = planted
    with shop.opened() as platform:
        found = platform.connection.execute("SELECT state FROM assay.batch ORDER BY id").fetchall()
    assert [state for (state,) in found] == ["done", "rejected", "held", "rejected"]


def password_of(shop: Shop) -> str:
    """The secret that the project holds: the password of its database."""
    found = urlsplit(load_project(shop.root).target.postgres).password
    assert found is not None
    return found


def test_nothing_that_leaves_by_itself_holds_a_canary(planted: tuple[Shop, str]) -> None:
    """Logs, events, lineage, spans and mails."""
    shop, said = planted
    assert not [canary for canary in (*CANARIES, password_of(shop)) if canary in said]


NAMES = [name for name in permissions.COMMANDS if name not in ENDLESS | {"sql", "init"}]
MORE = {
    "batch show": "batch show {one}", "review show": "review show 3", "quarantine show": "quarantine show {one}",
    "quarantine export": "quarantine export {one} -o {new}.xlsx", "batch return": "batch return {one} -o {new}.csv",
    "replay": "replay {one}", "withdraw": "withdraw 1 --reason mistake", "lineage": "lineage operational.sale",
}  # fmt: skip


@pytest.mark.parametrize("who", [*(name for name in ROLES if name != OWNER), ADMINISTRATOR, STRANGER])
def test_no_command_shows_a_canary_to_somebody_who_may_not_see_it(planted: tuple[Shop, str], who: str) -> None:
    shop, _ = planted
    secret = password_of(shop)
    new = f"{shop.root.parent}/{shop.root.name}-{who}"
    contract = shop.root / "zones/shop/sales/contracts/till.odcs.yaml"
    for name in NAMES:
        if name in ("contract infer", "contract check", "contract diff", "ingest", "review release", "review reject"):
            continue  # of files that the user has himself, or decided on while he sees all
        if name == "review show" and ROLES.get(who) == "steward":
            continue  # he sees all of a held batch: he decides on it
        for one in ("1", "2", "3", "4"):
            written = MORE.get(name, CALLS[name])
            words = written.format(
                one=one, new=f"{new}-{one}", held="3", other="3", shown="3", broken="2", contract=contract, file="-"
            )
            for form in ("", " --json"):
                result = call(shop, words + form, user=who)
                out = result.output + str(result.exception or "")
                held_by_steward = ROLES.get(who) == "steward" and one == "3"
                for canary in (secret,) if held_by_steward else (*CANARIES, secret):
                    assert canary not in out, (words, canary, out)
            if one not in written:
                break
    for path in Path(shop.root.parent).glob(f"{shop.root.name}-{who}*.csv"):
        assert not any(canary in path.read_text() for canary in CANARIES)


def test_the_owner_sees_them(planted: tuple[Shop, str]) -> None:
    """What the test looks for is there to be seen."""
    shop, _ = planted
    shown = call(shop, "quarantine show 3 --json").stdout + call(shop, "review show 3 --json").stdout
    assert NAME in shown or CARD in shown
    assert json.loads(call(shop, "batch show 2 --json").stdout)["findings"]
