"""keys: which keys the zones have, and new ones."""

from __future__ import annotations

from pathlib import Path

import click

from assay.cli import output
from assay.cli.help import Group
from assay.cli.options import admitted, json_option, load, project_options


@click.group(cls=Group)
def keys() -> None:
    """Show the keys of the zones, or give them new ones. The keys themselves are shown nowhere.

    Example: assay keys show
    """


@keys.command(name="show")
@project_options
@json_option
def keys_show(folder: Path, target: str | None, as_json: bool) -> None:
    """Show which keys the zones have, by number, and how many landed files hang on each.

    Example: assay keys show
    """
    from assay.pipelines.keys import show

    with admitted(load(folder, target)) as door:
        found = show(door.of_platform())
    if as_json:
        output.print_json([vars(one) for one in found])
        return
    output.table(
        ("zone", "key", "made", "files", ""),
        [
            (
                one.zone, "none" if one.key is None else str(one.key), one.created_at, one.files,
                "newest" if one.newest else "not encrypted" if one.key is None else "",
            )
            for one in found
        ],
    )  # fmt: skip
    if not found:
        click.echo("nothing has been landed yet", err=True)
    if any(one.key is None for one in found):
        output.next_step("assay keys rotate")


@keys.command(name="rotate")
@click.option("--zone", default=None, help="Only this zone.")
@project_options
@json_option
def keys_rotate(zone: str | None, folder: Path, target: str | None, as_json: bool) -> None:
    """Give the zones a new key and bring their landed files under it; also encrypts files that were not.

    Files stay where they are: only the keys that they are encrypted with are wrapped anew.

    Example: assay keys rotate --zone corporate_finance
    """
    from assay.pipelines.keys import rotate

    with admitted(load(folder, target)) as door:
        done = rotate(door.of_platform(), zone)
    damaged = [path for one in done for path in one.damaged]
    if as_json:
        output.print_json([one.to_dict() for one in done])
    else:
        output.table(
            ("zone", "new key", "files rewrapped", "files encrypted", "damaged", "keys removed"),
            [
                (
                    one.zone, one.key, one.rewrapped, one.encrypted, len(one.damaged),
                    ", ".join(map(str, one.forgotten)),
                )
                for one in done
            ],
        )  # fmt: skip
        for path in damaged:
            click.echo(f"damaged: {path}", err=True)
    if damaged:
        output.next_step("restore the damaged files from your backup, then assay keys rotate")
        raise click.exceptions.Exit(1)
