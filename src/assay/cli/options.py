"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from assay.pipelines.door import Door
    from assay.zones.project import Project

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def project_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--project DIR` and `--target NAME`."""
    command = click.option(
        "--project",
        "folder",
        type=click.Path(path_type=Path),
        default=Path(),
        help="The project's folder; default: the nearest above here.",
    )(command)
    return click.option("--target", default=None, help="The target of assay.yaml; default: its default_target.")(
        command
    )


def load(folder: Path, target: str | None) -> Project:
    """The project that a command speaks of."""
    from assay.zones.project import find_root, load_project

    return load_project(find_root(folder.resolve()), target)


@contextmanager
def admitted(project: Project) -> Iterator[Door]:
    """The door of the platform, for the command that runs: it asks there before it does or shows anything."""
    from assay.errors import Misconfigured
    from assay.pipelines.door import Door
    from assay.pipelines.platform import opened

    with opened(project) as platform:
        door = Door(platform, command_name())
        try:
            yield door
        except Misconfigured as error:
            told = door.told(error)
            if told is error:
                raise
            raise told from None  # the words of what was raised would be in a trace


def command_name() -> str:
    """The full name of the command that runs: `batch show`."""
    _, _, name = click.get_current_context().command_path.partition(" ")
    return name
