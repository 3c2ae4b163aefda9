"""The rules once more, in plain Python, written from the tables of docs/explanation/permissions.md.

It knows nothing of Cedar, of entities or of the policies' files; where it and `decide` disagree, one of them is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field

STAGING = {"readable", "clean", "quarantine"}
GOLD = {"operational", "analytical"}
UNREAD = {"ingress", "landing"}

#: From the first table: zone, by action and role. "own" and "not own" are about the batch's deliverer.
ZONE_TABLE = {
    "deliver": {"owner": "yes", "steward": "yes", "engineer": "yes", "analyst": "yes"},
    "inspect": {"owner": "yes", "steward": "yes", "engineer": "yes", "analyst": "own", "auditor": "yes"},
    "return_file": {"owner": "yes", "steward": "yes", "engineer": "own", "analyst": "own"},
    "decide": {"owner": "not own", "steward": "not own"},
    "run": {"owner": "yes", "engineer": "yes"},
    "view_configuration": {
        "owner": "yes", "steward": "yes", "engineer": "yes", "analyst": "yes", "auditor": "yes",
        "administrator": "yes",
    },
    "apply": {"owner": "yes", "engineer": "yes", "administrator": "yes"},
    "publish": {"owner": "yes"},
    "audit": {"owner": "yes", "auditor": "yes"},
}  # fmt: skip
SEGMENT_TABLE = {
    "land": ({"ingress"}, {"landing"}, False),
    "approve": ({"landing"}, {"readable", "quarantine"}, False),
    "clean": ({"readable"}, {"clean", "quarantine"}, False),
    "conform": ({"clean", "operational", "analytical"}, {"operational"}, True),
    "denormalize": ({"clean", "operational", "analytical"}, {"analytical"}, True),
}
#: The classes of the second table that somebody sees who may see up to the named one.
UP_TO = {
    "internal": {"public", "internal"},
    "confidential": {"public", "internal", "confidential"},
    "all": {"public", "internal", "confidential", "restricted", "personal"},
}
INSIDE = {"read", "see", "trace", "deliver", "inspect", "return_file", "decide", "run", "publish"}


@dataclass(frozen=True)
class Rule:
    """A policy of a zone: `who` is a user's name or ("role", name); `place` is (), (store,) or (store, dataset)."""

    effect: str
    zone: str
    who: str | tuple[str, str] | None
    actions: frozenset[str]
    place: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """A world in plain words."""

    roles: dict[str, dict[str, set[str]]]  # zone → user → roles
    administrators: set[str] = field(default_factory=set)
    auditors: set[str] = field(default_factory=set)
    granted: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    def of(self, user: str, zone: str) -> set[str]:
        """The roles of a user in a zone, that of an auditor of the platform among them."""
        return self.roles[zone].get(user, set()) | ({"auditor"} if user in self.auditors else set())


def user_may(
    facts: Facts,
    user: str,
    action: str,
    kind: str,
    place: tuple[str, ...],
    *,
    own: bool | None = None,
    four_eyes: bool | None = None,
    held: bool | None = None,
    field_class: str | None = None,
) -> bool:
    """Whether a user may; `place` is (), (zone,), (zone, store), (zone, store, dataset) or (zone, publication)."""
    if kind == "Platform":
        return _platform(facts, user, action)
    zone = place[0]
    if zone not in facts.roles:
        return False
    reader = kind == "Publication" and any(
        {"owner", "analyst"} & facts.roles[other].get(user, set())
        for other in facts.granted.get((zone, place[1]), set())
    )
    roles = facts.of(user, zone)
    if kind in ("Store", "Dataset") and place[1] in UNREAD:
        return False
    if action in INSIDE and not roles and not reader:
        return False
    if action == "decide" and four_eyes is False:
        own = False  # as if another had delivered it
    if action == "decide" and own is not False:
        return False
    if not _applies(action, kind):
        return False
    for rule in facts.rules:
        if rule.effect == "forbid" and _covers(facts, rule, user, action, kind, place):
            return False
    if any(r.effect == "permit" and _covers(facts, r, user, action, kind, place) for r in facts.rules):
        return True
    if user in facts.administrators:
        roles = roles | {"administrator"}
    if kind == "Zone":
        return any(_word_holds(ZONE_TABLE.get(action, {}).get(role, ""), own) for role in roles)
    return any(_data(role, action, kind, place, held, field_class) for role in roles) or (
        reader and (action in ("read", "trace") or (action == "see" and field_class in UP_TO["confidential"]))
    )


def segment_may(facts: Facts, segment: tuple[str, str], action: str, kind: str, place: tuple[str, ...]) -> bool:
    """Whether a segment (zone, name) may."""
    home, name = segment
    reads, writes, publications = SEGMENT_TABLE.get(name, (set(), set(), False))
    if kind == "Publication":
        return action == "read" and publications and home in facts.granted.get((place[0], place[1]), set())
    if kind not in ("Store", "Dataset") or place[0] != home:
        return False
    if action == "read":
        return place[1] in reads
    return action == "write" and kind == "Store" and place[1] in writes


def _platform(facts: Facts, user: str, action: str) -> bool:
    if action == "audit":
        return user in facts.auditors
    return action in ("operate", "manage_accounts") and user in facts.administrators


def _applies(action: str, kind: str) -> bool:
    if kind == "Zone":
        return action in ZONE_TABLE
    if kind == "Store":
        return action == "read"
    return action in ("read", "see", "trace")


def _word_holds(word: str, own: bool | None) -> bool:
    return word == "yes" or (word == "own" and own is True) or (word == "not own" and own is False)


def _data(
    role: str, action: str, kind: str, place: tuple[str, ...], held: bool | None, field_class: str | None
) -> bool:
    stage = "gold" if kind == "Publication" or place[1] in GOLD else "staging"
    if action in ("read", "trace"):
        rows = {"staging": {"owner", "steward", "engineer"}, "gold": {"owner", "analyst"}}[stage]
        return role in rows or (action == "trace" and role == "auditor")
    if role == "owner":
        return True
    if stage == "staging":
        if role == "steward" and held is True:
            return True
        return role in ("steward", "engineer") and field_class in UP_TO["internal"]
    return role == "analyst" and field_class in UP_TO["confidential"]


def _covers(facts: Facts, rule: Rule, user: str, action: str, kind: str, place: tuple[str, ...]) -> bool:
    if action not in rule.actions or place[0] != rule.zone:
        return False
    if isinstance(rule.who, tuple):
        if rule.who[1] not in facts.of(user, rule.zone):
            return False
    elif rule.who is not None and rule.who != user:
        return False
    inside = place[1:] if kind in ("Store", "Dataset") else ()
    return inside[: len(rule.place)] == rule.place
