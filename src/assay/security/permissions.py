"""Every operation of every door, with what it needs: the one table that guards read and tests hold complete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from assay.security.resources import PUBLISHED, STAGES, ResourceType

#: Every action, and the types of resources that it applies to.
ACTIONS: Final[dict[str, frozenset[ResourceType]]] = {
    "read": frozenset({"Store", "Dataset", "Publication"}),
    "see": frozenset({"Dataset", "Publication"}),
    "write": frozenset({"Store"}),
    "trace": frozenset({"Dataset", "Publication"}),
    "deliver": frozenset({"Zone"}),
    "inspect": frozenset({"Zone"}),
    "return_file": frozenset({"Zone"}),
    "decide": frozenset({"Zone"}),
    "run": frozenset({"Zone"}),
    "view_configuration": frozenset({"Zone"}),
    "apply": frozenset({"Zone"}),
    "publish": frozenset({"Zone"}),
    "audit": frozenset({"Platform", "Zone"}),
    "operate": frozenset({"Platform"}),
    "manage_accounts": frozenset({"Platform"}),
}

#: The actions that a zone's own policies may grant and forbid.
DATA_ACTIONS: Final = frozenset(
    {"read", "see", "trace", "deliver", "inspect", "return_file", "decide", "run"}
)


@dataclass(frozen=True, slots=True)
class Need:
    """An action on a resource of a type; the operation's arguments say which one."""

    action: str
    resource: ResourceType


@dataclass(frozen=True, slots=True)
class Operation:
    """What an operation needs, all of it.

    `filtered`: it is not refused, but shows of each zone (or dataset) only what the decision allows.
    `why` says why an operation without needs has none, or what is particular.
    """

    needs: tuple[Need, ...] = ()
    filtered: bool = False
    why: str = ""


def _of(*needs: tuple[str, ResourceType], filtered: bool = False, why: str = "") -> Operation:
    return Operation(tuple(Need(action, resource) for action, resource in needs), filtered, why)


_OWN_FILES = "it reads and writes files that the user has anyway, and no store"
_OWN_SELF = "it concerns the user alone"

_OFFERED = "of the publishing zone; what is offered to a zone, everybody sees who has a role in it"
_BOTH_SIDES = "of the publishing or the subscribing zone; everybody sees his own"
_PUBLISHER = "of the publishing zone"

#: Every command of the command line, by its full name.
COMMANDS: Final = {
    "init": _of(why=_OWN_FILES),
    "schema": _of(why=_OWN_FILES),
    "plan": _of(("view_configuration", "Zone"), filtered=True),
    "apply": _of(
        ("apply", "Zone"), why="of every zone that the plan changes; assay.yaml and new zones need operate besides"
    ),
    "zone explain": _of(("view_configuration", "Zone")),
    "contract infer": _of(why=_OWN_FILES),
    "contract diff": _of(why=_OWN_FILES),
    "contract check": _of(why=_OWN_FILES),
    "ingest": _of(("deliver", "Zone")),
    "run": _of(("run", "Zone"), why="of every zone whose pipelines it runs"),
    "up": _of(("operate", "Platform")),
    "retry": _of(("run", "Zone"), why="of the batch, or of every zone whose batches it takes up"),
    "status": _of(("inspect", "Zone"), filtered=True),
    "batch list": _of(("inspect", "Zone"), filtered=True),
    "batch show": _of(("inspect", "Zone"), why="the cells of findings need see besides"),
    "batch return": _of(("return_file", "Zone"), why="of a file that another delivered, see of all its cells besides"),
    "review list": _of(("inspect", "Zone"), filtered=True),
    "review show": _of(("inspect", "Zone"), ("read", "Dataset"), why="the cells of findings and rows need see besides"),
    "review release": _of(("decide", "Zone")),
    "review reject": _of(("decide", "Zone")),
    "quarantine list": _of(("inspect", "Zone"), filtered=True),
    "quarantine show": _of(("inspect", "Zone"), ("read", "Dataset"), why="cells need see besides"),
    "quarantine export": _of(("inspect", "Zone"), ("read", "Dataset"), why="cells need see besides"),
    "replay": _of(("run", "Zone")),
    "rebuild": _of(("run", "Zone")),
    "withdraw": _of(("decide", "Zone"), why="also of what he delivered himself: taking it back approves nothing"),
    "sql": _of(("read", "Dataset"), why="or Publication, for every table named; cells need see besides"),
    "lineage": _of(("trace", "Dataset"), why="the rows that --where finds need read, their cells see"),
    "maintain": _of(("operate", "Platform")),
    "doctor": _of(("operate", "Platform")),
    "audit list": _of(("audit", "Zone"), filtered=True, why="entries of no zone need audit of the platform"),
    "audit export": _of(("audit", "Platform")),
    "verify audit": _of(("audit", "Platform")),
    "keys show": _of(("operate", "Platform")),
    "keys rotate": _of(("operate", "Platform")),
    "publication list": _of(("view_configuration", "Zone"), filtered=True, why=_OFFERED),
    "publication show": _of(("view_configuration", "Zone"), filtered=True, why=_OFFERED),
    "subscription request": _of(("publish", "Zone"), why="of the zone that asks; everybody may ask for himself"),
    "subscription list": _of(("view_configuration", "Zone"), filtered=True, why=_BOTH_SIDES),
    "subscription show": _of(("view_configuration", "Zone"), filtered=True, why=_BOTH_SIDES),
    "subscription approve": _of(("publish", "Zone"), why=_PUBLISHER),
    "subscription refuse": _of(("publish", "Zone"), why=_PUBLISHER),
    "subscription revoke": _of(("publish", "Zone"), why=_PUBLISHER),
    "subscription expire": _of(("publish", "Zone"), why=_PUBLISHER),
    "subscription cancel": _of(("publish", "Zone"), why="of the subscribing zone; everybody may cancel his own"),
    "subscription verify": _of(("publish", "Zone"), why=_PUBLISHER),
    "login": _of(why=_OWN_SELF),
    "logout": _of(why=_OWN_SELF),
    "whoami": _of(why=_OWN_SELF),
    "account add": _of(("manage_accounts", "Platform"), why="or it is the first, and an administrator's"),
    "account list": _of(("manage_accounts", "Platform")),
    "account password": _of(("manage_accounts", "Platform"), why="or it is his own"),
    "account disable": _of(("manage_accounts", "Platform")),
    "token create": _of(("manage_accounts", "Platform"), why="with --for; everybody may for himself"),
    "token list": _of(("manage_accounts", "Platform"), why="with --all; everybody sees his own"),
    "token revoke": _of(("manage_accounts", "Platform"), why="of others; everybody may end his own"),
    "access explain": _of(("audit", "Zone"), why="or of the platform; everybody may ask about himself"),
    "access matrix": _of(("audit", "Zone"), filtered=True),
}

#: Every movement of a segment, with the segment as the principal.
SEGMENTS: Final = {
    segment: _of(("read", "Store"), ("write", "Store"), why="the stores of segments.REACH")
    for segment in ("land", "approve", "clean", "conform", "denormalize")
}

#: Every store that SQL can name, by whichever door the statement comes.
SQL: Final = {
    **{store: _of(("read", "Dataset"), why="cells need see besides") for store in STAGES},
    PUBLISHED: _of(("read", "Publication"), why="cells need see besides"),
}

#: By door.
DOORS: Final = {"command": COMMANDS, "segment": SEGMENTS, "sql": SQL}
