"""The command line. Each command's module is loaded when it is called, so that `--help` stays quick."""

from __future__ import annotations

import importlib
import sys
from typing import Literal

import click

from assay import __version__
from assay.cli.help import Group

#: name → (module, one line of help); the modules hold a click command of the same name.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("project", "Write a new platform project into a folder."),
    "schema": ("project", "Write the JSON Schemas that editors use."),
    "plan": ("plan", "Show what the configuration would change."),
    "apply": ("plan", "Carry the plan out."),
    "zone": ("zone", "Explain where a zone's settings come from."),
    "contract": ("contract", "Propose a contract from files, try one on a file, or compare two."),
    "ingest": ("flow", "Deliver files by hand."),
    "run": ("flow", "Take in everything that waits in the ingress folders."),
    "up": ("up", "Run the service: files are taken in as they arrive."),
    "retry": ("retry", "Let batches that failed be tried again."),
    "status": ("status", "Show where batches are, and what waits for whom."),
    "batch": ("records", "List batches, show one with its report, or return its file."),
    "review": ("review", "See what waits for a steward, and decide."),
    "quarantine": ("quarantine", "List, show and export rows that were set aside."),
    "replay": ("replay", "Take a delivered file through the pipeline again."),
    "rebuild": ("rebuild", "Make a dataset anew from what was delivered."),
    "withdraw": ("withdraw", "Take the effect of a batch back."),
    "sql": ("query", "Ask the stores a question, read-only."),
    "lineage": ("query", "Trace a row or a column back to the delivered file."),
    "publication": ("publication", "Show what zones offer to each other."),
    "subscription": ("subscription", "Ask for what a zone publishes, and decide on it."),
    "login": ("login", "Log in, where the target asks for it."),
    "logout": ("login", "End the last login."),
    "whoami": ("login", "Say who one is, and with which roles."),
    "account": ("account", "Keep the accounts of the platform."),
    "token": ("token", "Keep tokens, by which programs act for a user."),
    "access": ("access", "Explain who may do what, by which policies."),
    "audit": ("audit", "Show who did and decided what, or export the audit chain."),
    "keys": ("keys", "Show the keys of the zones, or give them new ones."),
    "verify": ("verify", "Verify that nothing of the audit chain was changed."),
    "maintain": ("maintain", "Keep the stores in order: small files, old states, retention."),
    "doctor": ("doctor", "Check that everything assay needs is there."),
}


class Lazy(Group):
    """A group whose commands are imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"assay.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from assay.errors import nearest

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = nearest(args[0], COMMANDS)
            words = f"there is no command {args[0]}" + (f"; do you mean {near}?" if near else "")
            raise click.UsageError(words, ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--log", "form", type=click.Choice(["text", "json"]), envvar="ASSAY_LOG",
    help="Print what happens to standard error, a line each; or set ASSAY_LOG.",
)  # fmt: skip
@click.version_option(__version__, prog_name="assay")
def assay(form: Literal["text", "json"] | None) -> None:
    """Delivered files become trusted data, or come back with the reason.

    Example: assay init shop --example expenses
    """
    if form:
        from assay import log

        log.start(form)


def main() -> None:
    """The entry of the `assay` script: runs a command and turns what it raises into an exit code."""
    from assay.errors import AssayError

    as_json = "--json" in sys.argv
    try:
        sys.exit(assay.main(standalone_mode=False, prog_name="assay") or 0)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.ClickException as error:
        from assay.cli.output import show_usage

        show_usage(error, as_json=as_json)
        sys.exit(2)
    except click.Abort:
        click.echo("stopped; the same command goes on from here", err=True)
        sys.exit(130)
    except AssayError as error:
        from assay.cli.output import show_error

        show_error(error, as_json=as_json)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader has gone: what Python still holds for it must not be written at exit.
        import os

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:  # our own bug: say so, keep the trace, and use a code of its own
        from assay.cli.output import show_bug

        show_bug(error)
        sys.exit(70)
