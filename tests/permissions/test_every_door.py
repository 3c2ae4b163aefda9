"""Every command asks for what its row in the permission table needs: each is run by everybody.

Who may is worked out by `oracle`, the rules in plain Python; nothing of the product says it here.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from click.testing import Result
from tests.cli.test_every_command import CALLS, ENDLESS, call, subscribe
from tests.security.oracle import Facts, user_may

from assay.errors import Denied, NotFound
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import opened
from assay.pipelines.run import ingest
from assay.security import permissions
from assay.security.principals import User
from assay.zones.project import load_project
from shop_project import OWNER, TILL, Shop

ROLES = {
    OWNER: "owner", "steward@example.org": "steward", "engineer@example.org": "engineer",
    "analyst@example.org": "analyst", "auditor@example.org": "auditor",
}  # fmt: skip
ADMINISTRATOR, ABOVE, STRANGER = "administrator@example.org", "above@example.org", "stranger@example.org"
EVERYBODY = [*ROLES, ADMINISTRATOR, ABOVE, STRANGER]
FACTS = Facts(
    {"shop": {name: {role} for name, role in ROLES.items()}}, administrators={ADMINISTRATOR}, auditors={ABOVE}
)
ZONE = f"""\
title: Shop
owner: {OWNER}
stewards: [steward@example.org]
engineers: [engineer@example.org]
analysts: [analyst@example.org]
auditors: [auditor@example.org]
publications: {{goods: {{dataset: operational.goods}}, sale: {{dataset: operational.sale}}}}
"""
#: Which dataset of the shop a command asks about.
DATASETS = {
    "review show": ("clean", "till"), "quarantine show": ("quarantine", "till"),
    "quarantine export": ("quarantine", "till"), "lineage": ("analytical", "by_month"),
}  # fmt: skip
#: What the call asks for beside its row: a condition needs to read.
BESIDES = {"lineage": [permissions.Need("read", "Dataset")]}
#: What everybody may for himself, and the calls do; the first token and the last subscription are the owner's.
FOR_ONESELF = {"token create", "token list", "subscription request", "subscription list"}
OF_THE_OWNER = {"access explain", "token revoke", "subscription cancel"}
#: `tests/serving` holds it.
ELSEWHERE = {"sql"}


@pytest.fixture(scope="module")
def peopled(new_shop: Callable[[], Shop]) -> Shop:
    """A shop with somebody in each role, a gate, and a file in each condition, delivered by none of them."""
    shop = new_shop().fill()
    shop.write("zones/shop/zone.yaml", ZONE)
    shop.people(f"administrators: [{ADMINISTRATOR}]\nauditors: [{ABOVE}]\n")
    shop.edit("pipeline.yaml", "steward: never", "steward: always")
    names = ("held", "other", "shown", "broken")
    for number, name in enumerate(names, 2):
        text = "nonsense\n1\n" if name == "broken" else TILL.replace("\n1,", f"\n{number}0,")
        (shop.root / f"till-{name}.csv").write_text(text)
    (shop.root / "till-file.csv").write_text(TILL.replace("\n1,", "\n90,"))
    with opened(load_project(shop.root), user=User("deliverer")) as platform:
        apply(platform)
        ingest(platform, pipeline_of(platform, "shop", "sales"), [shop.root / f"till-{n}.csv" for n in names], None)
        subscribe(platform)
    return shop


def words(shop: Shop, name: str, who: str) -> str:
    """The call of a command, as somebody makes it."""
    new = f"{shop.root.parent}/{shop.root.name}-{who}-{name.replace(' ', '-')}"
    numbers = {"held": "2", "other": "3", "shown": "4", "broken": "5"}
    contract = shop.root / "zones/shop/sales/contracts/till.odcs.yaml"
    return CALLS[name].format(**numbers, file=shop.root / "till-file.csv", new=new, contract=contract)


def allowed(name: str, who: str) -> bool:
    """Whether the rules let somebody call a command on the shop."""
    operation = permissions.COMMANDS[name]
    if name in FOR_ONESELF or (name in OF_THE_OWNER and who == OWNER):
        return True
    for need in (*operation.needs, *BESIDES.get(name, [])):
        place = {"Platform": (), "Zone": ("shop",)}.get(need.resource, ("shop", *DATASETS.get(name, ())))
        if not user_may(FACTS, who, need.action, need.resource, place, own=False, held=True):
            return False
    return True


def refused(result: Result) -> bool:
    """Whether the door said no, or that there is no such batch."""
    error = result.exception
    if isinstance(error, NotFound):
        return error.what.startswith(("there is no", "nobody publishes"))
    return isinstance(error, Denied)


EMPTY: dict[str, Callable[[object], bool]] = {
    "status": lambda found: isinstance(found, dict) and not any(
        [found["batches"], found["held"], found["late"], found["schedules"], *(p["states"] for p in found["pipelines"])]
    ),
}
NAMES = [name for name in permissions.COMMANDS if name not in ELSEWHERE | ENDLESS]


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("name", NAMES)
def test_a_command_is_for_those_who_have_what_its_row_needs(peopled: Shop, name: str, who: str) -> None:
    result = call(peopled, words(peopled, name, who) + " --json", user=who)
    if allowed(name, who):
        assert not refused(result), result.exception
        assert not isinstance(result.exception, RuntimeError | AssertionError), result.exception
        assert result.exit_code in (0, 3, 4) or result.exception is not None
    elif not refused(result):
        assert permissions.COMMANDS[name].filtered, result.output
        shown = json.loads(result.stdout)
        assert EMPTY.get(name, lambda found: found == [])(shown), shown


def test_a_service_is_started_by_who_operates_the_platform(peopled: Shop) -> None:
    for who in EVERYBODY:
        if not allowed("up", who):
            assert isinstance(call(peopled, "up", user=who).exception, Denied), who


def test_every_refusal_is_on_the_audit_chain_with_its_reason(peopled: Shop) -> None:
    call(peopled, "ingest till-file.csv --zone shop --pipeline sales", user=STRANGER)
    call(peopled, "batch show 2", user=STRANGER)
    told = json.loads(call(peopled, f"audit list --actor {STRANGER} --limit 2 --json", user=ABOVE).stdout)
    assert [(one["action"], one["outcome"], one["zone"], one["detail"]["command"]) for one in told] == [
        ("inspect", "deny", "shop", "batch show"), ("deliver", "deny", "shop", "ingest"),
    ]  # fmt: skip
    assert all("members" in one["detail"]["why"] for one in told)


def test_a_door_hands_nothing_out_before_it_was_asked(peopled: Shop) -> None:
    from assay.pipelines.door import Door

    with peopled.opened() as platform, pytest.raises(RuntimeError, match="has asked for no permission"):
        assert Door(platform, "status").platform


def test_before_anything_is_applied_the_files_say_who_operates_and_zones_are_not_needed_for_it(shop: Shop) -> None:
    from assay.pipelines.door import Door
    from assay.zones.project import load_bare

    with opened(load_bare(shop.root), user=User(OWNER)) as platform:
        Door(platform, "up").of_platform()
    with opened(load_bare(shop.root), user=User(STRANGER)) as platform, pytest.raises(Denied):
        Door(platform, "up").of_platform()
