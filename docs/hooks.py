"""What the documentation takes from the code when it is built: commands, settings, errors, lists of pages,
and the shelves' order.

A page that holds `<!-- generated: NAME -->` gets what `GENERATED[NAME]` renders. Nothing generated is kept in the
repository, so nothing of it can go stale.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

#: The shelves, in the order in which a newcomer needs them.
SHELVES = ("Home", "Tutorials", "How to", "Reference", "Explanation", "Decisions")
MARK = re.compile(r"<!-- generated: (\w+) -->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs' event: fills the marks of a page."""
    return MARK.sub(lambda mark: GENERATED[mark.group(1)](), markdown)


def on_nav(nav: Any, **_: Any) -> Any:
    """MkDocs' event: puts the shelves in order; within a shelf pages go by name."""
    nav.items.sort(key=lambda item: SHELVES.index(item.title) if item.title in SHELVES else 0)
    return nav


# --- commands ------------------------------------------------------------------------------------------------


def commands() -> str:
    """Every command with its help, usage, options and example."""
    return "\n".join(_command(path, command) for path, command in leaf_commands())


def leaf_commands() -> Iterator[tuple[str, click.Command]]:
    """(`assay batch show`, the command) for every command that does something."""
    from assay.cli import assay

    yield from _leaves("assay", assay)


def _leaves(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None, name
        yield from _leaves(f"{path} {name}", found)


def help_and_example(command: click.Command) -> tuple[str, str]:
    """The words of a command's help as Markdown, and the command line that ends it."""
    text, _, example = (command.help or "").partition("Example:")
    # A paragraph that begins with \b is one whose lines click leaves as they are.
    paragraphs = [
        f"```\n{part.removeprefix(chr(8)).strip()}\n```" if part.startswith("\b") else part
        for part in text.strip().split("\n\n")
    ]
    return "\n\n".join(paragraphs), example.strip()


def _command(path: str, command: click.Command) -> str:
    text, example = help_and_example(command)
    usage = " ".join([path, *command.collect_usage_pieces(click.Context(command))])
    options = [option for option in command.params if isinstance(option, click.Option)]
    rows = [(_option(option), _option_help(option)) for option in options]
    table = _table(("option", "meaning"), rows) if rows else ""
    return f"## {path}\n\n{text}\n\n```\n{usage}\n```\n\nFor example `{example}`.\n\n{table}\n"


def _option(option: click.Option) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else " " + option.make_metavar(click.Context(click.Command("x")))
    return f"`{names}{value}`"


def _option_help(option: click.Option) -> str:
    words = option.help or ""
    if option.required:
        words += " Required."
    if option.multiple:
        words += " May be given several times."
    if option.show_default and option.default is not None:
        words += f" Default: {option.default}."
    return words.strip()


# --- settings ------------------------------------------------------------------------------------------------


def settings() -> str:
    """Every key of assay.yaml, zone.yaml and pipeline.yaml."""
    from assay.zones.schemas import json_schemas

    parts = []
    for name, schema in json_schemas().items():
        parts.append(f"## {name}.yaml\n")
        parts += [_section(path, shape, schema) for path, shape in _objects(schema, schema, "")]
    return "\n".join(parts)


def setting_keys() -> Iterator[tuple[str, str, str]]:
    """(file, dotted key, description) of every setting."""
    from assay.zones.schemas import json_schemas

    for name, schema in json_schemas().items():
        for path, shape in _objects(schema, schema, ""):
            for key, value in shape["properties"].items():
                yield f"{name}.yaml", f"{path}.{key}".lstrip("."), str(value.get("description") or "")


def _objects(schema: Any, shape: Any, path: str) -> Iterator[tuple[str, Any]]:
    """(dotted path, JSON Schema) of an object and, below it, of every object in it."""
    shape = _resolved(schema, shape)
    if "properties" in shape:
        yield path, shape
        for key, value in shape["properties"].items():
            yield from _objects(schema, value, f"{path}.{key}".lstrip("."))
    for inner, step in ((_items(shape), "[]"), (_values(shape), ".<name>")):
        if inner is not None:
            yield from _objects(schema, inner, path + step)


def _items(shape: Any) -> Any:
    found = shape.get("items")
    return found if isinstance(found, dict) else None


def _values(shape: Any) -> Any:
    """The schema of a mapping's values, where its keys are names that the user gives."""
    patterns = shape.get("patternProperties")
    if patterns:
        return next(iter(patterns.values()))
    found = shape.get("additionalProperties")
    return found if isinstance(found, dict) else None


def _resolved(schema: Any, shape: Any) -> Any:
    for option in shape.get("anyOf", ()):
        if "$ref" in option:
            shape = option
    while "$ref" in shape:
        shape = schema["$defs"][shape["$ref"].rsplit("/", 1)[1]]
    return shape


def _section(path: str, shape: Any, schema: Any) -> str:
    required = set(shape.get("required", ()))
    rows = [
        (f"`{key}`", _kind(schema, value), _default(key, value, required), str(value.get("description") or ""))
        for key, value in shape["properties"].items()
    ]
    heading = f"### `{path}`\n\n" if path else ""
    return heading + _table(("key", "value", "default", "meaning"), rows)


def _default(key: str, value: Any, required: set[str]) -> str:
    if key in required:
        return "required"
    default = value.get("default")
    if default is None or default == [] or isinstance(default, dict):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _kind(schema: Any, value: Any) -> str:
    """The words for what a key takes."""
    options = [option for option in value.get("anyOf", (value,)) if option.get("type") != "null"]
    return " or ".join(dict.fromkeys(_one_kind(schema, option) for option in options))


def _one_kind(schema: Any, value: Any) -> str:
    if "enum" in value:
        return ", ".join(f"`{word}`" for word in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    shape = _resolved(schema, value)
    if "properties" in shape:
        return "see below"
    if _items(shape) is not None:
        inner = _one_kind(schema, shape["items"])
        return f"list, {inner}" if inner == "see below" else f"list of {inner}"
    if _values(shape) is not None:
        return f"by name, {_one_kind(schema, _values(shape))}"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    return words.get(str(shape.get("type")), str(shape.get("type", "anything")))


# --- errors --------------------------------------------------------------------------------------------------


def errors() -> str:
    """The error family with exit codes."""
    rows = [
        (f"`{one.__name__}`", str(one.exit_code), "yes" if one.retryable else "", _first_sentence(one))
        for one in error_family()
    ]
    return _table(("error", "exit code", "may succeed later", "meaning"), rows)


def error_family() -> Iterator[type]:
    """The errors that users meet, those of assay.errors."""
    from assay import errors as room

    for value in vars(room).values():
        if isinstance(value, type) and issubclass(value, room.AssayError) and value is not room.AssayError:
            yield value


def _first_sentence(one: type) -> str:
    text = " ".join((one.__doc__ or "").split())
    return text.split("; `")[0].rstrip(".") + "."


# --- lists of pages ------------------------------------------------------------------------------------------


def decisions() -> str:
    """A line for each decision, by number; for the page beside them."""
    return "\n".join(f"- [{_title(page)}]({page.name})" for page in _pages("decisions"))


def how_to() -> str:
    """A line for each how-to page; for the page above them."""
    return "\n".join(f"    - [{_title(page)}](how-to/{page.name})" for page in _pages("how-to"))


def _pages(shelf: str) -> list[Path]:
    return sorted(page for page in (Path(__file__).parent / shelf).glob("*.md") if page.stem != "index")


def _title(page: Path) -> str:
    return page.read_text("utf-8").splitlines()[0].removeprefix("# ")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_shown(cell) for cell in line) + " |" for line in lines) + "\n"


def _shown(cell: str) -> str:
    """A cell whose `|` ends no column and whose `<`, outside code, begins no tag."""
    parts = cell.replace("|", "\\|").split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts))


# --- functions of SQL ----------------------------------------------------------------------------------------


def functions() -> str:
    """The functions that a question may call, and those that were looked at and may not be called."""
    from assay.engines.pure_functions import AGGREGATES, PURE_TABLES, REFUSED, REFUSED_TABLES, SCALARS

    lists = {
        "Of many rows, and of a window": AGGREGATES,
        "Of one row": frozenset(name for name in SCALARS if name[0].isalpha()),
        "In FROM": PURE_TABLES,
        "Refused": REFUSED | REFUSED_TABLES,
    }
    return "\n".join(
        f"### {title}\n\n" + ", ".join(f"`{name}`" for name in sorted(names)) + "\n" for title, names in lists.items()
    )


#: What pages can ask for by name.
GENERATED: dict[str, Callable[[], str]] = {
    "commands": commands,
    "settings": settings,
    "errors": errors,
    "decisions": decisions,
    "how_to": how_to,
    "functions": functions,
}

