"""A zone's own policies, held to their limits: they grant and forbid inside the zone, and nowhere else.

What they cannot do whatever they say (read landing, decide alone, open the zone to others) stands in never.cedar.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from cedarpy import pst

from assay.errors import Misconfigured, nearest
from assay.security import cedar
from assay.security.permissions import DATA_ACTIONS
from assay.security.principals import PLATFORM_ROLES, ZONE_ROLES

if TYPE_CHECKING:
    from assay.zones.project import PolicyText, Project

#: `permit` and `forbid` outside comments and texts begin a policy each, in the order in which Cedar numbers them.
_BEGINNINGS: Final = re.compile(r'//[^\n]*|"(?:\\.|[^"\\])*"|\b(?:permit|forbid)\b(?=\s*\()')

_ANNOTATION: Final = r'@\w+\s*(?:\(\s*"(?:\\.|[^"\\])*"\s*\)\s*)?'

#: Types of entities whose names begin with their zone.
_OF_A_ZONE: Final = {"Zone", "Store", "Dataset", "Publication", "Segment"}
#: Those that every zone knows alike.
_OF_ALL: Final = {"User", "Action", "FieldClass"}


def check_zone_policies(project: Project) -> None:
    """Reads the policies of every zone.

    Raises `Misconfigured` with every problem, file and line: what Cedar cannot read, what does not fit the schema,
    what reaches beyond the zone, and a policy without a name of its own.
    """
    problems: list[Misconfigured] = []
    for zone in project.zones.values():
        taken = dict.fromkeys(cedar.shipped_policies(), "assay itself")
        for file in zone.policies:
            problems += _checked(zone.name, file, taken)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise Misconfigured(f"{len(problems)} problems in the zones' policies", problems=problems[:20])


def _checked(zone: str, file: PolicyText, taken: dict[str, str]) -> Iterator[Misconfigured]:
    try:
        policies = cedar.parsed(file.text)
    except ValueError as error:
        yield Misconfigured(
            f"the policies cannot be read: {error}", file=file.path, line=_unreadable_line(file.text),
            expected='Cedar policies, such as permit (principal == User::"anna@example.org", '
            f'action == Action::"read", resource in Store::"{zone}/analytical");',
        )  # fmt: skip
        return
    lines = [_line(file.text, start) for start in _beginnings(file.text)]
    found = []
    for number, policy in enumerate(policies):

        def problem(what: str, expected: str, line: int = lines[number]) -> Misconfigured:
            return Misconfigured(what, file=file.path, line=line, expected=expected)

        found += [*_named(policy, taken, str(file.path), problem), *_within(zone, policy, problem)]
    if found:
        yield from found
        return
    for number, what in cedar.schema_errors(file.text):
        words = re.sub(r"^for policy `policy\d+`, ", "", what)
        yield Misconfigured(words, file=file.path, line=lines[number], expected="what the schema of policies knows")


Problem = Callable[[str, str], Misconfigured]


def _named(policy: pst.Template, taken: dict[str, str], file: str, problem: Problem) -> Iterator[Misconfigured]:
    name = policy.annotations.get("id", "")
    if not name:
        yield problem("the policy has no name", '@id("a-name") before it')
    elif name in taken:
        yield problem(f"the name {name} is taken by {taken[name]}", "a name of its own")
    taken.setdefault(name, file)
    if not policy.annotations.get("because"):
        yield problem(f"the policy {name} does not say what it is for", '@because("A sentence.") before it')


def _within(zone: str, policy: pst.Template, problem: Problem) -> Iterator[Misconfigured]:
    if _slots(policy):
        yield problem("a template grants nothing by itself", "a policy without ?principal and ?resource")
        return
    name = policy.annotations.get("id", policy.id)
    place = _scope_entity(policy.resource)
    if place is None or not _of_zone(zone, place) or _type(place) not in ("Zone", "Store", "Dataset", "Publication"):
        yield problem(f"the policy {name} is not limited to the zone", f'resource in Zone::"{zone}", or a part of it')
    actions = _actions(policy.action)
    if actions is None:
        yield problem(f"the policy {name} does not say which actions it is about", "action == or action in [...]")
    for action in sorted((actions or set()) - DATA_ACTIONS):
        near = nearest(action, DATA_ACTIONS)
        yield problem(
            f"a zone does not decide on the action {action}", near or "one of: " + ", ".join(sorted(DATA_ACTIONS))
        )
    if policy.effect.lower() == "permit":
        who = _scope_entity(policy.principal)
        if who is None or _type(who) not in ("User", "Role"):
            yield problem(
                f"the policy {name} grants to everybody", f'principal == User::"...", or in Role::"{zone}/analyst"'
            )
    for entity in sorted(pst.entity_uids(policy), key=str):
        if not _of_zone(zone, entity) and _type(entity) not in _OF_ALL:
            yield problem(
                f'the policy {name} speaks of {_type(entity)}::"{entity.id}", which is not of the zone',
                f"users, field classes, and what begins with {zone}/",
            )


def _of_zone(zone: str, entity: pst.EntityUid) -> bool:
    if _type(entity) == "Role":
        return entity.id in PLATFORM_ROLES or entity.id in {f"{zone}/{role}" for role in (*ZONE_ROLES, "member")}
    return _type(entity) in _OF_A_ZONE and entity.id.partition("/")[0] == zone


def _type(entity: pst.EntityUid) -> str:
    return str(entity.type)


def _scope_entity(scope: pst.PrincipalOrResourceConstraint) -> pst.EntityUid | None:
    entity = scope.entity if isinstance(scope, pst.ScopeEq | pst.ScopeIn | pst.ScopeIsIn) else None
    return entity if isinstance(entity, pst.EntityUid) else None


def _slots(policy: pst.Template) -> bool:
    scopes = (policy.principal, policy.resource)
    return any(isinstance(getattr(scope, "entity", None), pst.Slot) for scope in scopes)


def _actions(scope: pst.ActionConstraint) -> set[str] | None:
    if isinstance(scope, pst.ActionEq):
        return {scope.entity.id}
    if isinstance(scope, pst.ActionIn):
        return {one.id for one in scope.entities}
    return None


def _beginnings(text: str) -> list[int]:
    return [one.start() for one in _BEGINNINGS.finditer(text) if one[0] in ("permit", "forbid")]


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _unreadable_line(text: str) -> int:
    """The line of the first policy that cannot be read by itself: Cedar does not say where it stopped."""
    found = _beginnings(text)
    for start, end in zip(found, [*found[1:], len(text)], strict=True):
        part = re.sub(rf"(?:{_ANNOTATION}|//[^\n]*\s*)*\Z", "", text[start:end])
        try:
            cedar.parsed(part)
        except ValueError:
            return _line(text, start)
    return 1
