"""contract check: the gate on a file, without a platform."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.help import Command
from assay.cli.options import json_option

if TYPE_CHECKING:
    from assay.zones.contract import Contract
    from assay.zones.model import ReaderHints


def _reader_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The reader's hints as options, in the place of those that stand in the contract."""
    for option in (
        click.option("--format", "format", default=None, help="The file's format; by its content when not given."),
        click.option("--sheet", default=None, help="The sheet's name, or a pattern such as 'Card*'."),
        click.option("--hidden-sheets", is_flag=True, default=None, help="Look at hidden sheets too."),
        click.option("--header-row", type=int, default=None, help="The header's (last) row, counted from 1."),
        click.option("--header-rows", type=int, default=None, help="How many rows a header may take."),
        click.option("--encoding", default=None, help="Such as utf-8, cp1252, utf-16."),
        click.option("--delimiter", default=None, help="The character between cells; \\t is a tab."),
        click.option("--quote", default=None, help="The quote character; empty where nothing is quoted."),
    ):
        command = option(command)
    return command


@click.command(name="check", cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--contract", "contract_file", required=True, type=click.Path(path_type=Path), help="The contract, *.odcs.yaml."
)
@click.option("--dataset", default=None, help="Which dataset, where the contract describes several.")
@_reader_options
@click.option(
    "--return", "return_to", default=None, type=click.Path(path_type=Path),
    help="Write the file there with its bad cells marked.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace the returned file if it is there.")
@json_option
def check(
    file: Path,
    contract_file: Path,
    dataset: str | None,
    return_to: Path | None,
    force: bool,
    as_json: bool,
    **hints: Any,
) -> None:
    """Say what the gate would say of FILE. No project is needed, and nothing is recorded.

    Ends with 0 where the file would pass, 3 where it would be rejected, 4 where a steward would have to look.

    Example: assay contract check card-2025-03.xlsx --contract card.odcs.yaml
    """
    from assay.cli import output
    from assay.cli.report import show_report, show_returned
    from assay.errors import NotFound
    from assay.pipelines.check import check as examine
    from assay.pipelines.check import return_file

    if not file.is_file():
        raise NotFound("there is no such file", where=str(file))
    contract = _contract(contract_file, dataset)
    reading = _hints(contract, hints)
    with tempfile.TemporaryDirectory(prefix="assay-check-") as scratch:
        checked = examine(file, contract, reading, Path(scratch))
        made = checked.report(file.name, contract)
        returned = None
        if return_to is not None:
            returned = return_file(file, contract, reading, Path(scratch), return_to, replace_it=force)
    if as_json:
        told = {"report": made.to_dict(), "returned": returned.to_dict() if returned else None}
        output.print_json({**told, "unwatched": list(contract.unwatched)})
    else:
        show_report(made)
        if contract.unwatched:
            click.echo(f"of slaProperties, not watched: {', '.join(contract.unwatched)}", err=True)
        if returned is not None:
            show_returned(returned)
    code = {"accepted": 0, "rejected": 3, "held": 4}[made.outcome]
    if code:
        raise click.exceptions.Exit(code)


def _contract(path: Path, dataset: str | None) -> Contract:
    from assay.errors import NotFound, Usage, nearest
    from assay.zones.contract import load_contracts

    if not path.is_file():
        raise NotFound("there is no such contract", where=str(path))
    found = {contract.dataset: contract for contract in load_contracts(path)}
    if dataset is None and len(found) == 1:
        return next(iter(found.values()))
    if dataset in found:
        return found[dataset]
    near = nearest(dataset, found) if dataset else None
    raise Usage(
        f"the contract describes no dataset {dataset}" if dataset else f"the contract describes {len(found)} datasets",
        where=str(path),
        expected=near or ", ".join(found),
        next="name one with --dataset",
    )


def _hints(contract: Contract, given: dict[str, Any]) -> ReaderHints:
    """The contract's hints, with the options in their place."""
    from pydantic import ValidationError

    from assay.errors import Usage
    from assay.zones.model import ReaderHints

    own = {name: value for name, value in given.items() if value is not None}
    if own.get("delimiter") == "\\t":
        own["delimiter"] = "\t"
    try:
        checked = ReaderHints.model_validate(own)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise Usage(f"{option}: {first['msg']}", next="assay contract check --help") from error
    return contract.reader.model_copy(update={name: getattr(checked, name) for name in own})
