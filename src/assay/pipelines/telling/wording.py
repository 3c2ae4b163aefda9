"""Templates: what makes the text of a mail, or the JSON that is posted, of the facts of an event."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from assay.errors import AssayError, Misconfigured

if TYPE_CHECKING:
    from assay.zones.project import Notice, Project, Template

#: How long what a template makes may be, in characters.
CHARACTERS_MOST = 100_000


def text(template: Template | None, told: Mapping[str, Any]) -> str:
    """The text of a mail; raises `Misconfigured` for a template that cannot be filled."""
    return _rendered(template, told) if template else _environment().from_string(_default()).render(told)


def document(template: Template | None, told: Mapping[str, Any]) -> bytes:
    """The JSON that is posted: the facts, and their summary as `text`, or what the template makes of them.

    Raises `Misconfigured` for a template that cannot be filled, or does not make JSON.
    """
    if template is None:
        return json.dumps({"text": told["summary"], **told}, ensure_ascii=False).encode()
    made = _rendered(template, told)
    try:
        json.loads(made)
    except ValueError as error:
        raise Misconfigured(
            f"the template does not make JSON: {error}", file=template.path, expected='{"text": {{ summary | tojson }}}'
        ) from error
    return made.encode()


def check_templates(project: Project) -> Iterator[Misconfigured]:
    """What is wrong with the templates of a project, before any of them is needed."""
    for notice in _notices(project):
        if notice.template is not None:
            try:
                _compiled(notice.template.text, notice.template)
            except Misconfigured as error:
                yield error


def _notices(project: Project) -> Iterator[Notice]:
    yield from project.notices
    for zone in project.zones.values():
        yield from zone.notices


def _default() -> str:
    return (files(__package__) / "mail.txt").read_text("utf-8")


def _rendered(template: Template, told: Mapping[str, Any]) -> str:
    try:
        return str(_compiled(template.text, template).render(told))[:CHARACTERS_MOST]
    except AssayError:
        raise
    except Exception as error:  # a template may divide by zero; whatever it does, it is the template that is wrong
        raise Misconfigured(
            f"the template cannot be filled: {type(error).__name__}: {error}", file=template.path,
            expected="the names of docs/reference/notifications.md",
        ) from error  # fmt: skip


def _compiled(source: str, template: Template) -> Any:
    from jinja2 import TemplateSyntaxError

    try:
        return _environment().from_string(source)
    except TemplateSyntaxError as error:
        raise Misconfigured(
            f"the template cannot be read: {error.message}", file=template.path, line=error.lineno,
            expected="a Jinja2 template",
        ) from error  # fmt: skip


def _environment() -> Any:
    """Templates see the facts and nothing else: no file, no object of the process, no other template."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # Texts for mails and JSON, not for a browser: nothing is HTML here.
    return ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False
    )
