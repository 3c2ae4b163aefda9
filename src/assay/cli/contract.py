"""Commands about contracts: infer one from files, try one on a file, compare two."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli import output
from assay.cli.contract_check import check
from assay.cli.help import Group
from assay.cli.options import json_option
from assay.errors import Usage

if TYPE_CHECKING:
    from assay.zones.contract_diff import Difference
    from assay.zones.contract_draft import Draft

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=Group)
def contract() -> None:
    """Propose a contract from files, try one on a file, or compare two contracts.

    Example: assay contract infer card-2025-*.xlsx
    """


contract.add_command(check)


@contract.command()
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="FILE...")
@click.option("-o", "--output", "out", type=click.Path(dir_okay=False, path_type=Path), help="Write the contract here.")
@click.option("--name", default=None, help="The dataset's name; default: what the files' names have in common.")
@click.option("--sheet", default=None, help="The sheet, where the one with the most rows is not meant.")
@click.option("--header-row", type=click.IntRange(min=1), default=None, help="The header's row, where it is not found.")
@click.option("--encoding", default=None, help="The encoding of the files, where it is not UTF-8.")
@click.option("--delimiter", default=None, help="The character between cells, where it is not found.")
@json_option
def infer(
    files: tuple[Path, ...],
    out: Path | None,
    name: str | None,
    sheet: str | None,
    header_row: int | None,
    encoding: str | None,
    delimiter: str | None,
    as_json: bool,
) -> None:
    """Propose a contract for FILE..., deliveries of one source; every guess stands with its evidence.

    Types, null words, keys and the rest hold for every cell of all files. What could be read two ways stays text.

    Example: assay contract infer card-2025-*.xlsx -o zones/corporate_finance/expenses/contracts/card.odcs.yaml
    """
    from assay.segments.infer.propose import file_pattern, propose
    from assay.zones.contract_draft import to_yaml
    from assay.zones.model import ReaderHints

    _check(out, name, delimiter)
    hints = ReaderHints(sheet=sheet, header_row=header_row, encoding=encoding, delimiter=delimiter)
    with tempfile.TemporaryDirectory(prefix="assay-infer-") as scratch:
        draft = propose(files, Path(scratch), hints, name or (_stem(out) if out else None))
    text = to_yaml(draft)
    if out is not None:
        _write(out, text)
    if as_json:
        output.print_json({**draft.to_dict(), "contract": text, "written": None if out is None else str(out)})
        return
    if out is None:
        click.echo(text, nl=False)
    else:
        click.echo(f"wrote {out}: {len(draft.fields)} fields from {len(draft.files)} file(s)")
        for remark in draft.remarks:
            click.echo(f"look at: {remark}", err=True)
    click.echo(_next(draft, file_pattern(files), out), err=True)


def _check(out: Path | None, name: str | None, delimiter: str | None) -> None:
    from assay.segments.infer.fields import plain_name

    if out is not None and out.exists():
        raise Usage(f"{out} exists already", expected="a new file", next="give another name, or compare with it first")
    if name is not None and plain_name(name) != name:
        expected = "small letters, digits and _, a letter first"
        raise Usage(f"--name {name} is not a name", expected=f"{expected}, such as {plain_name(name) or 'card'}")
    if delimiter is not None and len(delimiter) != 1:
        raise Usage("--delimiter is not one character", expected="one character; a tabulator as $'\\t'")


def _stem(out: Path) -> str | None:
    from assay.segments.infer.fields import plain_name

    return plain_name(out.name.split(".")[0]) or None


def _write(out: Path, text: str) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Usage(f"{out} cannot be written: {error.strerror}", expected="a folder that can be written") from error


def _next(draft: Draft, pattern: str, out: Path | None) -> str:
    """What to do with the proposal: where it goes, and what pipeline.yaml needs."""
    from assay.zones.contract_draft import scalar

    key = [one.field.name for one in draft.fields if one.field.primary_key]
    load = "{mode: upsert}" if key else "{mode: append}"
    place = f"contracts/{draft.name}.odcs.yaml"
    first = "judge the guesses" if out is not None else f"judge the guesses, keep it as {place} of your pipeline"
    lines = [
        f"Next: {first}, and add its source to pipeline.yaml:",
        "sources:",
        f"  {draft.name}:",
        f"    files: [{scalar(pattern)}]",
        f"    load: {load}" + (f"  # by {', '.join(key)}" if key else "  # or replace a period: see the reference"),
    ]
    return "\n".join(lines)


@contract.command()
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@json_option
def diff(old: Path, new: Path, as_json: bool) -> None:
    """Say what changes between two contracts: for who delivers files, and for who queries the dataset.

    Exit code 0: compatible for both. Exit code 1: some change breaks a file that was valid, or a query that worked.

    Example: assay contract diff card-1.0.0.odcs.yaml contracts/card.odcs.yaml
    """
    from assay.zones.contract import load_contracts
    from assay.zones.contract_diff import compared

    found = compared(load_contracts(old), load_contracts(new))
    breaking = [one for one in found if one.breaking]
    if as_json:
        output.print_json({
            "old": str(old),
            "new": str(new),
            "compatible": not breaking,
            "differences": [one.to_dict() for one in found],
        })  # fmt: skip
    else:
        _print_differences(found, breaking)
    if breaking:
        raise click.exceptions.Exit(1)


def _print_differences(found: tuple[Difference, ...], breaking: list[Difference]) -> None:
    if not found:
        click.echo("the contracts say the same")
        return
    output.table(
        ("what", "old", "new", "deliverer", "consumer", "why"),
        [(one.subject, one.old, one.new, one.deliverer, one.consumer, one.why) for one in found],
    )
    if breaking:
        click.echo(f"breaking: {len(breaking)} of {len(found)} change(s)")
        click.echo("Next: raise the major version and tell who delivers and who subscribes", err=True)
    else:
        click.echo(f"compatible: {len(found)} change(s)")
