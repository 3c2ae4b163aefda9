"""Commands about the project itself: init, schema."""

from __future__ import annotations

import json
from pathlib import Path

import click

from assay.cli import output
from assay.cli.help import Command
from assay.cli.options import json_option, project_options
from assay.errors import Usage

EMPTY = """\
# yaml-language-server: $schema=.assay/schema/assay.schema.json
name: {name}
targets:
  local:
    data: .assay
    postgres: embedded
"""

PEOPLE = """
# Who runs the platform, and who follows its audit chain; neither sees data for that. Roles in zones: their zone.yaml.
administrators: [{name}]
auditors: [{name}]
"""


@click.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--example", type=click.Choice(["expenses"]), help="Start from a complete example.")
@json_option
def init(folder: Path, example: str | None, as_json: bool) -> None:
    """Write a new platform project into FOLDER.

    Whoever calls it is the platform's administrator and auditor, and in the example owns the zones.

    Example: assay init shop --example expenses
    """
    from assay.security.identity import local_name

    if folder.exists() and any(folder.iterdir()):
        raise Usage(
            f"{folder} is not empty", expected="a new or empty folder", next="assay init with another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    caller = json.dumps(local_name(), ensure_ascii=False)
    if example:
        from assay.examples.expenses import write_example

        write_example(folder, caller)
    else:
        name = "".join(c if c.isalnum() else "_" for c in folder.resolve().name.lower()) or "platform"
        (folder / "assay.yaml").write_text(EMPTY.format(name=name))
        (folder / "zones").mkdir()
    with (folder / "assay.yaml").open("a", encoding="utf-8") as file:
        file.write(PEOPLE.format(name=caller))
    _write_schemas(folder)
    if as_json:
        output.print_json({"folder": str(folder), "example": example})
    else:
        click.echo(f"wrote {folder}")
        output.next_step(f"cd {folder} && assay plan")


@click.command(cls=Command)
@project_options
@json_option
def schema(folder: Path, target: str | None, as_json: bool) -> None:
    """Write the JSON Schemas of assay.yaml, zone.yaml and pipeline.yaml, for editors.

    Example: assay schema
    """
    from assay.zones.project import find_root
    from assay.zones.schemas import json_schemas

    if as_json:
        output.print_json(json_schemas())
        return
    for path in _write_schemas(find_root(folder.resolve())):
        click.echo(str(path))


def _write_schemas(root: Path) -> list[Path]:
    from assay.zones.schemas import json_schemas

    place = root / ".assay" / "schema"
    # The stores lie beside the schemas by default: nobody else on the machine looks into them.
    place.parent.mkdir(mode=0o700, exist_ok=True)
    place.mkdir(exist_ok=True)
    written = []
    for name, content in json_schemas().items():
        path = place / f"{name}.schema.json"
        path.write_text(json.dumps(content, indent=2) + "\n")
        written.append(path)
    return written
