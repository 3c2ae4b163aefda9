"""Commands about contracts."""

from __future__ import annotations

import click

from assay.cli.contract_check import check


@click.group()
def contract() -> None:
    """Try a contract on a file."""


contract.add_command(check)
