"""Commands about zones: zone explain."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from assay.cli import output
from assay.cli.help import Group
from assay.cli.options import admitted, json_option, load, project_options


@click.group(cls=Group)
def zone() -> None:
    """Explain where a zone's settings come from.

    Example: assay zone explain corporate_finance
    """


@zone.command(name="explain", short_help="Print every effective setting, with its file and line.")
@click.argument("name")
@project_options
@json_option
def zone_explain(name: str, folder: Path, target: str | None, as_json: bool) -> None:
    """Print every effective setting of zone NAME, with the file and line that says so, or that it is the default.

    Example: assay zone explain corporate_finance
    """
    from assay.errors import Usage, nearest
    from assay.zones.explain import explain

    project = load(folder, target)
    if name not in project.zones:
        near = nearest(name, project.zones)
        raise Usage(f"there is no zone {name}", expected=near or ", ".join(project.zones))
    with admitted(project) as door:
        door.of_zone(name)
    found = explain(project, project.zones[name])
    if as_json:
        output.print_json([vars(setting) for setting in found])
        return
    for number, (part, settings) in enumerate(groupby(found, key=lambda setting: setting.part)):
        if number:
            click.echo()
        rows = [(one.key, _written(one.value), one.origin) for one in settings]
        output.table((part, "value", "from"), rows)


def _written(value: Any) -> str:
    """The value as YAML would have it, on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
