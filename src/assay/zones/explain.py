"""Every effective setting of a zone, with the file and line that says so, or that it is the default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from assay.zones.model import PipelineFile, PlatformFile, ZoneFile, checked
from assay.zones.yaml import Document, read

if TYPE_CHECKING:
    from assay.zones.contract import Contract
    from assay.zones.project import Pipeline, Project, Zone


@dataclass(frozen=True)
class Setting:
    """One effective value: what it belongs to, its key, and `origin`, which is file:line or "default"."""

    part: str
    key: str
    value: Any
    origin: str


def explain(project: Project, zone: Zone) -> list[Setting]:
    """All settings that the zone works with: the target's, of housekeeping, its own, its pipelines', its contracts'."""
    return [*_target(project), *_zone(project, zone)]


def _target(project: Project) -> Iterator[Setting]:
    document = read(project.root / "assay.yaml")
    file = checked(PlatformFile, document)
    name = project.target.name
    for setting in _settings(f"target {name}", project.root, document, file.targets[name], ("targets", name)):
        secret = setting.key == "postgres" and setting.value != "embedded" and not setting.value.startswith("${")
        yield Setting(setting.part, setting.key, "****" if secret else setting.value, setting.origin)
    yield from _settings("maintain", project.root, document, file.maintain, ("maintain",))


def _zone(project: Project, zone: Zone) -> Iterator[Setting]:
    document = read(zone.path)
    own = list(_settings(f"zone {zone.name}", project.root, document, checked(ZoneFile, document), ()))
    yield from own
    for pipeline in zone.pipelines.values():
        yield from _pipeline(project.root, pipeline, {setting.key: setting for setting in own})


def _pipeline(root: Path, pipeline: Pipeline, above: Mapping[str, Setting]) -> Iterator[Setting]:
    document = read(pipeline.path)
    part = f"pipeline {pipeline.name}"
    for setting in _settings(part, root, document, checked(PipelineFile, document), ()):
        if setting.key.startswith("retention.") and setting.origin == "default":
            yield replace(above[setting.key], part=part)
        else:
            yield _resolved(root, pipeline, setting)
    contracts = [source.contract for source in pipeline.sources.values()]
    contracts += [table.contract for table in pipeline.operational.values()]
    contracts += [table.contract for table in pipeline.analytical.values()]
    for contract in contracts:
        yield from _contract(root, contract)


def _resolved(root: Path, pipeline: Pipeline, setting: Setting) -> Setting:
    """Defaults that follow from the names of folders, as the path that they come to."""
    if setting.value is not None:
        return setting
    if setting.key == "ingress":
        return Setting(setting.part, setting.key, _short(root, pipeline.ingress), setting.origin)
    match setting.key.split("."):
        case ["sources", name, "contract"]:
            place = _short(root, pipeline.sources[name].contract.path)
            return Setting(setting.part, setting.key, place, setting.origin)
    return setting


def _contract(root: Path, contract: Contract) -> Iterator[Setting]:
    part = f"contract {contract.path.name.removesuffix('.odcs.yaml')}"
    document = read(contract.path)
    top = ("schema", 0)

    def at(*place: str | int) -> str:
        return f"{_short(root, contract.path)}:{document.line(*place)}"

    yield Setting(part, "version", contract.version, at("version"))
    yield Setting(part, "primary_key", list(contract.primary_key), at(*top) if contract.primary_key else "default")
    refresh = "full" if contract.refresh_by is None else {"by": list(contract.refresh_by)}
    yield Setting(part, "refresh", refresh, at(*top) if contract.refresh_by else "default")
    for field in contract.fields:
        words = [str(field.type), "required" if field.required or field.primary_key else "optional"]
        words += [f"classified {field.classification}"] if field.classification else []
        if field.headers != (field.name,):
            words.append("headers " + ", ".join(f'"{header}"' for header in field.headers))
        yield Setting(part, field.name, "; ".join(words), f"{_short(root, contract.path)}:{field.line}")
    for rule in contract.rules:
        yield Setting(part, f"rule {rule.name}", rule.action, f"{_short(root, contract.path)}:{rule.line}")


def _settings(
    part: str, root: Path, document: Document, value: Any, place: tuple[str | int, ...]
) -> Iterator[Setting]:
    """The leaves of a checked file; a key that stands in it has its line, any other is a default."""
    yield from _leaves(part, root, document, value, place, len(place))


def _leaves(
    part: str, root: Path, document: Document, value: Any, place: tuple[str | int, ...], skip: int
) -> Iterator[Setting]:
    children: list[tuple[str | int, Any]] = []
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        children = [(field.alias or name, getattr(value, name)) for name, field in fields.items()]
    elif isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list) and any(isinstance(item, BaseModel) for item in value):
        children = list(enumerate(value))
    short = _short_form(document, place)
    if children:
        if short is not None:  # one word in the place of the mapping that it stands for
            origin = f"{_short(root, document.path)}:{document.lines[place]}"
            yield Setting(part, ".".join(str(one) for one in place[skip:]), short, origin)
        for name, child in children if short is None else [pair for pair in children if pair[1] != short]:
            yield from _leaves(part, root, document, child, (*place, name), skip)
        return
    given = place in document.lines
    origin = f"{_short(root, document.path)}:{document.lines[place]}" if given else "default"
    yield Setting(part, ".".join(str(one) for one in place[skip:]), value, origin)


def _short_form(document: Document, place: tuple[str | int, ...]) -> Any:
    """What stands at a place of the file where it is a single value; None for a mapping, a list or nothing."""
    if place not in document.lines:
        return None
    here: Any = document.value
    for part in place:
        here = here[part]
    return None if isinstance(here, dict | list) else here


def _short(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
