"""doctor: is everything there, and if not, what to do."""

from __future__ import annotations

from pathlib import Path

import click

from assay.cli import output
from assay.cli.help import Command
from assay.cli.options import admitted, json_option, load, project_options


@click.command(cls=Command)
@project_options
@json_option
def doctor(folder: Path, target: str | None, as_json: bool) -> None:
    """Check that everything assay needs is there, and say what to do where it is not.

    Looks at Python and the packages, the project's files, the disk, the data folder, PostgreSQL, the lake's files,
    the configuration that is applied, and unfinished batches. Changes nothing.

    Example: assay doctor
    """
    from assay.pipelines.doctor import examine

    _ask(folder, target)
    found = list(examine(lambda: load(folder, target)))
    if as_json:
        output.print_json([vars(check) for check in found])
    else:
        output.table(
            ("check", "result", "detail"), [(one.name, one.result, one.detail) for one in found]
        )
    steps = [one.next for one in sorted(found, key=lambda one: one.result != "FAILED") if one.next]
    if steps:
        output.next_step(steps[0])
    if any(one.result == "FAILED" for one in found):
        raise click.exceptions.Exit(1)


def _ask(folder: Path, target: str | None) -> None:
    """Asks for permission, where there is a platform to ask about; what is broken, the checks find."""
    from assay.errors import AssayError, Denied

    try:
        with admitted(load(folder, target)) as door:
            door.of_platform()
    except Denied:
        raise
    except AssayError:
        return
