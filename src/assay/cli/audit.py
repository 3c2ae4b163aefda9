"""audit: who did and decided what, and the chain as files for an auditor."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from assay.cli import output
from assay.cli.help import Group
from assay.cli.options import admitted, json_option, load, project_options

TIMES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S")


class _ListsByDefault(Group):
    """`assay audit` and `assay audit --zone X` are short for `assay audit list ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ListsByDefault)
def audit() -> None:
    """Show who did and decided what, or export the audit chain; without a command it lists.

    Example: assay audit list --zone corporate_finance
    """


@audit.command(name="list", short_help="List entries of the audit chain, newest first.")
@click.option("--zone", default=None, help="Only of this zone.")
@click.option("--actor", default=None, help="Only what this user did.")
@click.option("--action", default=None, help="Only this action, such as land, release or apply.")
@click.option("--outcome", type=click.Choice(["allow", "deny", "done"]), default=None, help="Only this outcome.")
@click.option("--since", type=click.DateTime(TIMES), default=None, help="From this time on, UTC.")
@click.option("--until", type=click.DateTime(TIMES), default=None, help="Before this time, UTC.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(min=1), help="How many, the newest first.")
@project_options
@json_option
def audit_list(
    zone: str | None,
    actor: str | None,
    action: str | None,
    outcome: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    folder: Path,
    target: str | None,
    as_json: bool,
) -> None:
    """List entries of the audit chain, newest first.

    Example: assay audit list --actor anna --since 2025-06-01
    """
    from assay.security.audit import entries
    from assay.security.resources import PLATFORM

    with admitted(load(folder, target)) as door:
        zones = door.zones(zone)
        everything = zone is None and door.may("audit", PLATFORM)
        found = entries(
            door.platform.connection,
            zones=None if everything else zones,
            actor=actor,
            action=action,
            outcome=outcome,
            since=None if since is None else since.replace(tzinfo=UTC),
            until=None if until is None else until.replace(tzinfo=UTC),
            limit=limit + 1,
        )
    shown = found[:limit]
    if as_json:
        output.print_json([vars(one) for one in shown])
        return
    output.table(
        ("entry", "at", "actor", "action", "resource", "outcome", "zone", "detail"),
        [
            (
                one.seq, f"{one.at:%Y-%m-%d %H:%M:%S}", one.actor, one.action, one.resource, one.outcome, one.zone,
                ", ".join(f"{name}: {_shown(value)}" for name, value in one.detail.items()),
            )
            for one in shown
        ],
    )  # fmt: skip
    if not shown:
        click.echo("no entry like that", err=True)
    if len(found) > limit:
        output.next_step(f"assay audit list --limit {limit * 10}  (there are older ones)")


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@audit.command(name="export")
@click.argument("file", type=click.Path(path_type=Path))
@project_options
@json_option
def audit_export(file: Path, folder: Path, target: str | None, as_json: bool) -> None:
    """Write the audit chain to FILE as JSON lines, and beside it its checkpoints and their public key.

    The files can be verified where assay is not installed, with the script assay/security/verify_chain.py.

    Example: assay audit export chain.jsonl
    """
    from assay.pipelines.audit import export

    with admitted(load(folder, target)) as door:
        platform = door.of_platform()
        platform.vouch()  # so that the export vouches for itself
        made = export(platform, file)
    if as_json:
        output.print_json(vars(made))
        return
    click.echo(f"{made.entries} entr{'y' if made.entries == 1 else 'ies'} in {made.chain}")
    for path in (made.checkpoints, made.public_key):
        if path is not None:
            click.echo(f"beside it {path}")
