"""Help that ends with a working example, on one line, so that it can be copied."""

from __future__ import annotations

import inspect

import click

MARK = "Example:"


class _ExampleLast(click.Command):
    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        text, _, _ = self._parts()
        if text:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(text.strip())

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _, _, example = self._parts()
        if example:
            formatter.write_paragraph()
            formatter.write(f"{MARK} {' '.join(example.split())}\n")

    def _parts(self) -> tuple[str, str, str]:
        return inspect.cleandoc(self.help or "").partition(MARK)


class Command(_ExampleLast):
    """A command whose docstring ends with `Example: ...`."""


class Group(_ExampleLast, click.Group):
    """A group of such commands."""

    command_class = Command
