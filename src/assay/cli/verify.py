"""verify: whether what assay keeps is what it was."""

from __future__ import annotations

from pathlib import Path

import click

from assay.cli import output
from assay.cli.help import Group
from assay.cli.options import admitted, json_option, load, project_options


@click.group(cls=Group)
def verify() -> None:
    """Verify that what assay keeps is what it was.

    Example: assay verify audit
    """


@verify.command(name="audit")
@click.option(
    "--checkpoints", type=click.Path(path_type=Path), default=None,
    help="A copy of the checkpoints that was kept elsewhere; default: the platform's own.",
)  # fmt: skip
@click.option(
    "--public-key", type=click.Path(path_type=Path), default=None,
    help="A copy of the public key that was kept elsewhere; default: the platform's own.",
)  # fmt: skip
@project_options
@json_option
def verify_audit(
    checkpoints: Path | None, public_key: Path | None, folder: Path, target: str | None, as_json: bool
) -> None:
    """Follow the audit chain to its first bad link, and compare it with its signed checkpoints.

    An edit, a deletion, a change of order and a lost end are found; exit code 1 tells them.

    Example: assay verify audit
    """
    from assay.pipelines.audit import verify as follow

    with admitted(load(folder, target)) as door:
        found = follow(door.of_platform(record_later=True), checkpoints, public_key)
        if found.problem is None:  # to a broken chain nothing is added
            door.record()
    if as_json:
        output.print_json(found.to_dict())
    elif found.problem is None:
        click.echo(f"the chain of {found.entries} entries is intact; {found.checkpoints} checkpoints agree with it")
    else:
        click.echo(f"BROKEN: {found.problem}")
        if found.broken is not None and found.broken.seq > found.broken.since + 1:
            click.echo(f"the first changed entry is one of {found.broken.since + 1} to {found.broken.seq}")
    if found.problem is None and found.vouched < found.entries:
        click.echo(f"no checkpoint vouches for the entries after {found.vouched} yet", err=True)
    if found.problem is not None:
        output.next_step("assay audit export FILE, and compare it with an earlier export")
        raise click.exceptions.Exit(1)
