"""Commands about publications: publication list, show."""

from __future__ import annotations

from pathlib import Path

import click

from assay.cli import output
from assay.cli.help import Group
from assay.cli.options import json_option, load, project_options


@click.group(cls=Group)
def publication() -> None:
    """Show what zones offer to each other.

    Example: assay publication list
    """


@publication.command(name="list", short_help="List what is offered, and how one's zones stand to it.")
@project_options
@json_option
def publication_list(folder: Path, target: str | None, as_json: bool) -> None:
    """List the publications that one's zones offer or may ask for, and who has them as far as that is one's business.

    Example: assay publication list
    """
    from assay.cli.publishing import viewer
    from assay.pipelines.offers import offers
    from assay.pipelines.platform import opened

    with opened(load(folder, target)) as platform:
        found = offers(platform.connection, platform.project, viewer(platform))
    if as_json:
        output.print_json([one.to_dict() for one in found])
        return
    output.table(
        ("publication", "title", "version", "columns", "may ask", "subscriptions"),
        [
            (
                one.name, one.publication.title, one.publication.contract.version, len(one.columns),
                "any zone" if one.publication.consumers is None else ", ".join(one.publication.consumers) or "none",
                "; ".join(f"{sub.to}: {sub.state}" for sub in one.subscriptions),
            )
            for one in found
        ],
    )  # fmt: skip


@publication.command(name="show", short_help="Show what a publication promises, and who has it.")
@click.argument("name")
@project_options
@json_option
def publication_show(name: str, folder: Path, target: str | None, as_json: bool) -> None:
    """Show the columns that publication NAME (zone.publication) promises, the rows that it leaves out, and its
    subscriptions.

    Example: assay publication show reference.currency
    """
    from assay.cli import publishing
    from assay.pipelines.offers import offer
    from assay.pipelines.platform import opened

    with opened(load(folder, target)) as platform:
        found = offer(platform.connection, platform.project, publishing.viewer(platform), name)
    if as_json:
        output.print_json(found.to_dict())
        return
    offered = found.publication
    click.echo(f"{found.name} {offered.contract.version}" + (f": {offered.title}" if offered.title else ""))
    for words in (offered.description, None if offered.rows is None else f"only rows where {offered.rows}"):
        if words:
            click.echo(output.visible(words))
    click.echo()
    output.table(
        ("column", "type", "required", "class", "mask", "meaning"),
        [
            (one.name, one.type, "yes" if one.required else "", ", ".join(one.classes), one.mask, one.description)
            for one in found.columns
        ],
    )
    if found.subscriptions:
        click.echo()
        publishing.show(found.subscriptions)
