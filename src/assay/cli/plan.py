"""Commands that bring the stores to the configuration: plan, apply."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli import output
from assay.cli.help import Command
from assay.cli.options import admitted, json_option, load, project_options

if TYPE_CHECKING:
    from assay.pipelines.comparing import Plan
    from assay.security.diff import AccessChange
    from assay.stores.changes import Change

SIGNS = {"create": "+", "change": "~", "lose": "!"}
WIDTH = 110

#: Words that PostgreSQL reads as its own unless they are quoted (its manual, appendix "SQL Key Words").
KEYWORDS = frozenset(
    "all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation "
    "column concurrently constraint create cross current_catalog current_date current_role current_schema "
    "current_time current_timestamp current_user default deferrable desc distinct do else end except false fetch for "
    "foreign freeze from full grant group having ilike in initially inner intersect into is isnull join lateral "
    "leading left like limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps "
    "placing primary references returning right select session_user similar some symmetric system_user table "
    "tablesample then to trailing true union unique user using variadic verbose when where window with".split()
)


@click.command(cls=Command)
@click.option("--ddl/--no-ddl", default=True, help="Show the statements and columns, too; on by default.")
@project_options
@json_option
def plan(ddl: bool, folder: Path, target: str | None, as_json: bool) -> None:
    """Show what the configuration would change in the stores; nothing is changed.

    \b
    + is created   ~ is changed, every value kept   ! loses data, and needs to be named to `assay apply --allow`

    Below `access`, + is opened to somebody and - is closed.

    Example: assay plan --no-ddl
    """
    from assay.pipelines.plan import plan as compute
    from assay.security.resources import PLATFORM

    project = load(folder, target)
    with admitted(project) as door:
        zones, operates = door.zones(refuse_none=True), door.may("operate", PLATFORM)
        new = project.zones.keys() - door.world.zones.keys() if operates else set()
        found = compute(door.platform).within(zones | new, platform=operates)
    if as_json:
        output.print_json(_as_json(found))
        return
    _show(found, ddl=ddl)
    if found.losing:
        output.next_step("assay apply " + " ".join(f'--allow "{words}"' for words in found.losing))
    elif found.changes or found.applied != found.version:
        output.next_step("assay apply")


@click.command(cls=Command)
@project_options
@click.option("--allow", multiple=True, metavar="CHANGE", help="A change that loses data, in the words of plan.")
@json_option
def apply(folder: Path, target: str | None, allow: tuple[str, ...], as_json: bool) -> None:
    """Carry the plan out, in one transaction: all of it, or nothing.

    Example: assay apply
    """
    from assay.pipelines.plan import apply as carry_out
    from assay.pipelines.rebuild import worth_rebuilding

    with admitted(load(folder, target)) as door:
        platform = door.applying()
        done = carry_out(platform, allowed_losses=frozenset(allow))
        stale = worth_rebuilding(platform, done.applied) if done.applied != done.version else []
    if as_json:
        output.print_json({**_as_json(done), "worth_rebuilding": stale})
        return
    _show(done, ddl=False)
    click.echo(f"applied configuration {done.version}")
    if stale:
        click.echo(f"new SQL of {', '.join(stale)}: rows that no batch touches stay as they are until a rebuild")
        output.next_step(f"assay rebuild {stale[0]}")


def _as_json(found: Plan) -> dict[str, object]:
    return {
        "version": found.version,
        "applied": found.applied,
        "changes": [change.to_dict() for change in found.changes],
        "losing": list(found.losing),
        "access": [change.to_dict() for change in found.access],
        "remarks": [one.words for one in found.remarks],
    }


def _show(found: Plan, *, ddl: bool) -> None:
    for zone, changes in groupby(found.changes, key=lambda change: change.zone):
        click.echo(f"zone {zone}")
        for change in changes:
            note = f"  ({change.note})" if change.note else ""
            loses = "  loses data" if change.effect == "lose" else ""
            click.echo(f"  {SIGNS[change.effect]} {change.words}{note}{loses}")
            if ddl:
                for line in _details(change):
                    click.echo(f"      {line}")
    if found.access:
        click.echo("access")
        for line in _access(found.access):
            click.echo(f"  {output.visible(line)}")
    for remark in found.remarks:
        click.echo(remark.words)
    click.echo(_summary(found))


def _access(changes: Iterable[AccessChange]) -> Iterator[str]:
    """A line for each thing that somebody may do more, or less, on."""
    for (effect, who, place), same in groupby(changes, key=lambda one: (one.effect, one.who, one.place)):
        sign = "+" if effect == "opened" else "-"
        yield f"{sign} {who} on {place}: " + "; ".join(change.may for change in same)


def _summary(found: Plan) -> str:
    count = {effect: sum(change.effect == effect for change in found.changes) for effect in SIGNS}
    words = [f"{count['create']} to create", f"{count['change']} to change", f"{count['lose']} losing data"]
    said = ", ".join(words) if found.changes else "nothing to change"
    opened = sum(change.effect == "opened" for change in found.access)
    said += f"; {opened} opened, {len(found.access) - opened} closed" if found.access else ""
    return f"{said}; configuration {found.version}, applied before: {found.applied or 'none'}"


def _details(change: Change) -> Iterator[str]:
    """The statements as they are executed, columns packed into lines; for the lake, columns and types."""
    for step in change.steps:
        yield from _packed(_unquoted(step.text))
    for lake in change.lake:
        if lake.action == "ensure" and change.effect == "create":
            yield from _filled(f"{name} {kind}" for name, kind in lake.columns)


def _packed(statement: str) -> Iterator[str]:
    first, *rest = statement.split("\n")
    yield first
    if not rest:
        return
    lines = [line.strip().removesuffix(",") for line in rest[:-1]]
    columns = [line for line in lines if not line.startswith("CONSTRAINT ")]
    keys = [line for line in lines if line.startswith("CONSTRAINT ")]
    filled = _filled(columns)
    for number, line in enumerate(filled, 1):
        yield "    " + line + ("," if keys and number == len(filled) else "")
    for number, key in enumerate(keys, 1):
        yield "    " + key + ("," if number < len(keys) else "")
    yield rest[-1]


def _filled(columns: Iterable[str]) -> list[str]:
    """Columns joined with commas, broken between columns only."""
    # A blank inside a column must not break the line: it is another character while the lines are made.
    text = ", ".join(column.replace(" ", "\0") for column in columns)
    return [line.replace("\0", " ") for line in textwrap.wrap(text, WIDTH, break_long_words=False)]


def _unquoted(statement: str) -> str:
    """Identifiers without the quotes that they do not need."""

    def plain(match: re.Match[str]) -> str:
        return match.group(0) if match.group(1) in KEYWORDS else match.group(1)

    return re.sub(r'"([a-z_][a-z0-9_]*)"', plain, statement)
