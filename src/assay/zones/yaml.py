"""YAML 1.2 with the line of every key, read once at the door.

YAML 1.1, which PyYAML reads by default, turns `NO` into false and `010` into 8: here only the words of the
1.2 core schema mean anything but text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from assay.errors import Misconfigured

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


_resolve("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF")
_resolve("null", r"^(?:~|null|Null|NULL|)$", "~nN\0")
_Loader.yaml_implicit_resolvers.setdefault("", []).append(("tag:yaml.org,2002:null", re.compile(r"^$")))
_resolve("int", r"^(?:[-+]?(?:0|[1-9][0-9]*))$", "-+0123456789")
_resolve("float", r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789")

Path_ = tuple[Any, ...]


@dataclass(frozen=True)
class Document:
    """A parsed file: its value, and the line (1-based) of every key and item by path."""

    path: Path
    value: Any
    lines: dict[Path_, int]

    def line(self, *place: str | int) -> int | None:
        """The line of a place, or of the nearest thing that holds it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place)


def read(path: Path) -> Document:
    """Reads one YAML document.

    Raises `Misconfigured` with file and line for a missing file, broken YAML or a key that stands twice.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise Misconfigured("there is no such file", file=path) from error
    except UnicodeDecodeError as error:
        raise Misconfigured("the file is not UTF-8", file=path) from error
    except OSError as error:
        raise Misconfigured(f"the file could not be read: {error.strerror}", file=path) from error
    loader = _Loader(text)
    lines: dict[Path_, int] = {}
    try:
        node = loader.get_single_node()
        value = None if node is None else _value(loader, node, (), lines, path)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Misconfigured(
            f"the YAML cannot be read: {error.problem or error.context}",
            file=path,
            line=mark.line + 1 if mark else None,
            expected="valid YAML; indent with blanks, quote texts with special characters",
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise Misconfigured(f"the YAML cannot be read: {error}", file=path) from error
    finally:
        loader.dispose()
    return Document(path, value, lines)


def _value(loader: Any, node: Any, place: Path_, lines: dict[Path_, int], path: Path) -> Any:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool) and key is not None:
                raise Misconfigured("a key must be a plain word", file=path, line=key_node.start_mark.line + 1)
            if key in result:
                raise Misconfigured(f"the key {key} stands twice", file=path, line=key_node.start_mark.line + 1)
            lines[(*place, key)] = key_node.start_mark.line + 1
            result[key] = _value(loader, value_node, (*place, key), lines, path)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, (*place, number), lines, path) for number, item in enumerate(node.value)]
    return loader.construct_object(node, deep=True)
