"""A platform project: every file of it read, checked against the others, and frozen."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from assay.errors import Misconfigured, nearest
from assay.zones.access import RoleAccess, check_access
from assay.zones.contract import Contract, Field, load_contract
from assay.zones.gate import Gate
from assay.zones.masks import Mask
from assay.zones.model import (
    ChecksFile,
    LineageFile,
    MailFile,
    MaintainFile,
    Notable,
    NotifyFile,
    OidcFile,
    PipelineFile,
    PlatformFile,
    PublicationFile,
    ReaderHints,
    RetentionFile,
    SourceFile,
    TelemetryFile,
    ZoneFile,
    checked,
)
from assay.zones.publications import Offer, offered_contract
from assay.zones.schedule import Schedule
from assay.zones.triggers import check_triggers
from assay.zones.yaml import Document, read

NAME = r"[a-z][a-z0-9_]*"

#: The folder of a zone's own policies, beside its pipelines.
POLICIES = "policies"
#: The folder of contracts that publications have of their own.
PUBLICATIONS = "publications"


@dataclass(frozen=True)
class Sql:
    """A SQL file."""

    text: str
    path: Path


@dataclass(frozen=True)
class PolicyText:
    """A file of a zone's own Cedar policies."""

    text: str
    path: Path


@dataclass(frozen=True)
class Group:
    """The roles that a group of the single sign-on gives: in zones, and on the platform."""

    zones: Mapping[str, frozenset[str]]
    platform: frozenset[str]


@dataclass(frozen=True)
class LoadMode:
    """How a source's rows meet those that are there."""

    mode: Literal["append", "replace", "upsert", "snapshot"] = "append"
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Period:
    """How the period of a file is found: by a pattern on its name or an SQL expression over its rows."""

    origin: Literal["file_name", "rows"]
    pattern: str | None = None
    sql: str | None = None


@dataclass(frozen=True)
class Source:
    """A stream of files of one kind."""

    zone: str
    pipeline: str
    name: str
    files: tuple[str, ...]
    contract: Contract
    load: LoadMode
    period: Period | None
    reader: ReaderHints
    checks: ChecksFile
    clean_sql: Sql | None
    clean_contract: Contract | None
    conform: Mapping[str, Sql]
    line: int = 0

    @property
    def cleans(self) -> bool:
        """Whether anything happens between readable and clean."""
        return bool(self.contract.rules) or self.clean_sql is not None

    @property
    def clean_fields(self) -> tuple[Field, ...]:
        """The fields of the clean rows."""
        return (self.clean_contract or self.contract).fields


@dataclass(frozen=True)
class OperationalTable:
    """A canonical table."""

    zone: str
    pipeline: str
    name: str
    contract: Contract


@dataclass(frozen=True)
class AnalyticalTable:
    """A table for analysis and the SQL that makes it."""

    zone: str
    pipeline: str
    name: str
    contract: Contract
    sql: Sql
    refresh_by: tuple[str, ...] | None


@dataclass(frozen=True)
class Triggers:
    """What makes the service start a pipeline.

    `arrival`: files in its ingress folder; `after`: batches of these pipelines of its zone; `publications`: changes
    of these, as (zone, name).
    """

    arrival: bool = True
    schedules: tuple[Schedule, ...] = ()
    after: tuple[str, ...] = ()
    publications: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Pipeline:
    """One use case end to end inside a zone."""

    zone: str
    name: str
    title: str
    gate: Gate
    ingress: Path
    sources: Mapping[str, Source]
    precedence: tuple[str, ...]
    operational: Mapping[str, OperationalTable]
    analytical: Mapping[str, AnalyticalTable]
    retention: RetentionFile
    path: Path
    triggers: Triggers = Triggers()

    @property
    def markers(self) -> dict[str, str | None]:
        """The patterns of file names that the pipeline expects, each with its done-marker."""
        return {pattern: s.reader.done_marker for s in self.sources.values() for pattern in s.files}


@dataclass(frozen=True)
class AutoApprove:
    """Requests that are granted at once: by the class of every column, or by the zone that asks."""

    classification: Literal["public", "internal", "confidential"] | None = None
    zones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Publication:
    """What a zone offers to others: columns of a table, those of its rows that keep a condition (`rows`).

    `contract` says what a subscriber sees, columns that are masked as their masks give them. `consumers` are the
    zones that may ask for it, None: any.
    """

    zone: str
    name: str
    dataset: str
    store: str
    table: str
    columns: tuple[str, ...] | None
    title: str | None
    description: str | None
    contract: Contract
    rows: str | None = None
    masks: Mapping[str, Mask] = field(default_factory=dict)
    consumers: tuple[str, ...] | None = None
    auto_approve: AutoApprove = AutoApprove()
    line: int | None = None

    def offered_to(self, zone: str) -> bool:
        """Whether a zone may ask for it."""
        return self.consumers is None or zone in self.consumers

    @property
    def hides(self) -> bool:
        """Whether it leaves out rows or covers cells: an engine must not be handed what lies behind."""
        return self.rows is not None or bool(self.masks)


@dataclass(frozen=True)
class Subscription:
    """What a zone uses of another: `publication` is zone.name."""

    publication: str
    zone: str
    name: str
    purpose: str
    line: int | None = None


@dataclass(frozen=True)
class Template:
    """A Jinja2 template of a message."""

    text: str
    path: Path


@dataclass(frozen=True)
class Notice:
    """Who is told of what: people (`to`) by mail, or an address on the web (`webhook`)."""

    on: tuple[Notable, ...]
    pipelines: tuple[str, ...]
    to: tuple[str, ...]
    webhook: str | None
    template: Template | None


@dataclass(frozen=True)
class Zone:
    """An insight zone."""

    name: str
    title: str
    owner: str
    stewards: tuple[str, ...]
    engineers: tuple[str, ...]
    analysts: tuple[str, ...]
    auditors: tuple[str, ...]
    publications: Mapping[str, Publication]
    subscriptions: tuple[Subscription, ...]
    pipelines: Mapping[str, Pipeline]
    retention: RetentionFile
    path: Path
    concurrency: int | None = None
    policies: tuple[PolicyText, ...] = ()
    notices: tuple[Notice, ...] = ()
    access: tuple[RoleAccess, ...] = ()

    @property
    def sources(self) -> dict[str, Source]:
        """The sources of all pipelines."""
        return {name: entry for pipeline in self.pipelines.values() for name, entry in pipeline.sources.items()}

    @property
    def operational(self) -> dict[str, OperationalTable]:
        """The canonical tables of all pipelines."""
        return {n: entry for pipeline in self.pipelines.values() for n, entry in pipeline.operational.items()}

    @property
    def analytical(self) -> dict[str, AnalyticalTable]:
        """The analytical tables of all pipelines."""
        return {n: entry for pipeline in self.pipelines.values() for n, entry in pipeline.analytical.items()}


@dataclass(frozen=True)
class Target:
    """Where the platform runs; `postgres` may hold a password and stays out of the repr."""

    name: str
    data: Path
    postgres: str = field(repr=False)
    memory_limit: str
    keys: Path
    identity: Literal["local", "accounts", "oidc"] = "local"
    oidc: OidcFile | None = None
    lineage: LineageFile | None = None
    mail: MailFile | None = None
    telemetry: TelemetryFile | None = None
    watch: Literal["auto", "poll"] = "auto"


@dataclass(frozen=True)
class Project:
    """A platform project; `home` is where it lies when `root` holds a copy of its files as they once were."""

    root: Path
    name: str
    title: str | None
    target: Target
    maintain: MaintainFile
    zones: Mapping[str, Zone]
    version: str
    files: tuple[Path, ...]
    administrators: frozenset[str] = frozenset()
    auditors: frozenset[str] = frozenset()
    groups: Mapping[str, Group] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    home: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the project lies: what its files name by a relative path starts here."""
        return self.home or self.root

    def texts(self) -> dict[str, str]:
        """Its files as they lie there now, by their paths from the root; line ends are kept."""
        return _texts(self.root, self.files)


def find_root(start: Path) -> Path:
    """The nearest folder, from `start` upwards, that holds assay.yaml."""
    for folder in (start, *start.parents):
        if (folder / "assay.yaml").is_file():
            return folder
    raise Misconfigured(
        f"there is no assay.yaml in {start} or above it",
        expected="a platform project",
        next="assay init DIR --example expenses, or name the project with --project",
    )


Value = TypeVar("Value")


class _Reading:
    """Collects problems, so that a user sees all of them at once; and the files read, for the version."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[Misconfigured] = []
        self.files: list[Path] = []

    def attempt(self, make: Callable[[], Value]) -> Value | None:
        try:
            return make()
        except Misconfigured as error:
            self.problems.extend(error.problems or (error,))
            return None

    def fail(self, what: str, file: Path, line: int | None = None, expected: str | None = None) -> None:
        self.problems.append(Misconfigured(what, file=file, line=line, expected=expected))

    def document(self, path: Path) -> Document:
        self.files.append(path)
        return read(path)

    def contract(self, path: Path) -> Contract | None:
        self.files.append(path)
        return self.attempt(lambda: load_contract(path))

    def sql(self, path: Path) -> Sql | None:
        text = self.text(path, "SQL")
        return None if text is None else Sql(text, path)

    def policy(self, path: Path) -> PolicyText | None:
        text = self.text(path, "policy")
        return None if text is None else PolicyText(text, path)

    def text(self, path: Path, kind: str, line: int | None = None) -> str | None:
        self.files.append(path)
        try:
            return path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"the {kind} file cannot be read: {error}", path, line)
            return None


def load_project(root: Path, target: str | Target | None = None) -> Project:
    """Reads a project; with a `Target` for that one, whatever targets its files know.

    Raises `Misconfigured` with every problem found (`problems`, at most 20), each with file and line.
    """
    root = root.resolve()
    reading = _Reading(root)
    document = reading.document(root / "assay.yaml")
    file = checked(PlatformFile, document)
    where = target if isinstance(target, Target) else _target(root, document, file, target)
    zones: dict[str, Zone] = {}
    for folder in _folders(root / "zones", "zone.yaml"):
        zone = _zone(reading, folder)
        if zone is not None:
            zones[zone.name] = zone
    _check_publications(reading, zones)
    check_triggers(reading, zones)
    check_access(reading, zones)
    _check_groups(reading, document, file, zones)
    notices = _notices(reading, document, file.notify, root)
    if len(reading.problems) == 1:
        raise reading.problems[0]
    if reading.problems:
        raise Misconfigured(
            f"{len(reading.problems)} problems in the project", file=root, problems=reading.problems[:20]
        )
    files = tuple(sorted(set(reading.files)))
    return Project(
        root=root,
        name=file.name,
        title=file.title,
        target=where,
        maintain=file.maintain,
        zones=zones,
        version=version_of(_texts(root, files)),
        files=files,
        administrators=frozenset(file.administrators),
        auditors=frozenset(file.auditors),
        groups=_groups(file),
        notices=notices,
    )


def version_of(texts: Mapping[str, str]) -> str:
    """The version of a project with these files, in this order."""
    digest = hashlib.sha256()
    for name, text in texts.items():
        digest.update(name.encode() + b"\0" + text.encode() + b"\0")
    return digest.hexdigest()[:12]


def _texts(root: Path, files: Iterable[Path]) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_bytes().decode("utf-8") for path in files}


def load_bare(root: Path, target: str | None = None) -> Project:
    """The project without its zones: enough to reach the target, whatever state the other files are in."""
    root = root.resolve()
    document = read(root / "assay.yaml")
    file = checked(PlatformFile, document)
    where = _target(root, document, file, target)
    return Project(
        root=root,
        name=file.name,
        title=file.title,
        target=where,
        maintain=file.maintain,
        zones={},
        version="",
        files=(document.path,),
        administrators=frozenset(file.administrators),
        auditors=frozenset(file.auditors),
        groups=_groups(file),
    )


def _groups(file: PlatformFile) -> dict[str, Group]:
    return {
        name: Group({zone: frozenset(roles) for zone, roles in one.zones.items()}, frozenset(one.platform))
        for name, one in file.groups.items()
    }


def _target(root: Path, document: Document, file: PlatformFile, target: str | None) -> Target:
    name = target or file.default_target
    if name not in file.targets:
        near = nearest(name, file.targets)
        raise Misconfigured(
            f"there is no target {name}",
            file=document.path,
            line=document.line("targets"),
            expected=near or ", ".join(file.targets),
        )
    chosen = file.targets[name]
    data = (root / chosen.data).resolve()
    keys = data.with_name(f"{data.name}.keys") if chosen.keys is None else (root / chosen.keys).resolve()
    if keys.is_relative_to(data):
        raise Misconfigured(
            "the keys would lie in the data folder, whose content they protect",
            file=document.path,
            line=document.line("targets", name, "keys"),
            expected="a folder outside of it",
        )
    return Target(
        name, data, chosen.postgres, chosen.memory_limit, keys, chosen.identity, chosen.oidc, chosen.lineage,
        chosen.mail, chosen.telemetry, chosen.watch,
    )  # fmt: skip


def _notices(reading: _Reading, document: Document, entries: list[NotifyFile], folder: Path) -> tuple[Notice, ...]:
    """Who is told of what, each with the template that it names, which lies below `folder`."""
    found = []
    for number, entry in enumerate(entries):
        template = None
        if entry.template is not None:
            path = (folder / entry.template).resolve()
            if not path.is_relative_to(folder):
                reading.fail(
                    f"the template {entry.template} does not lie in the project", document.path,
                    document.line("notify", number, "template"), f"a file below {folder.name}",
                )  # fmt: skip
                continue
            text = reading.text(path, "template", document.line("notify", number, "template"))
            template = None if text is None else Template(text, path)
        found.append(Notice(tuple(entry.on), tuple(entry.pipelines), tuple(entry.to), entry.webhook, template))
    return tuple(found)


def _folders(parent: Path, marker: str) -> list[Path]:
    """The folders that hold the file `marker`, or ought to: those with configuration or SQL in them."""
    if not parent.is_dir():
        return []
    visible = (path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(path for path in visible if (path / marker).is_file() or _holds_configuration(path))


def _holds_configuration(folder: Path) -> bool:
    return any(path.suffix in (".yaml", ".sql") for path in folder.rglob("*"))


def _zone(reading: _Reading, folder: Path) -> Zone | None:
    document = reading.attempt(lambda: reading.document(folder / "zone.yaml"))
    file = None if document is None else reading.attempt(lambda: checked(ZoneFile, document))
    _named(reading, folder)
    kept = RetentionFile() if file is None else file.retention
    pipelines: dict[str, Pipeline] = {}
    for place in _folders(folder, "pipeline.yaml"):
        if place.name == PUBLICATIONS and not (place / "pipeline.yaml").is_file():
            continue
        pipeline = _pipeline(reading, folder.name, place, kept)
        if pipeline is not None:
            pipelines[pipeline.name] = pipeline
    for attribute in ("sources", "operational", "analytical"):
        seen: dict[str, str] = {}
        for pipeline in pipelines.values():
            for name in getattr(pipeline, attribute):
                if name in seen:
                    reading.fail(
                        f"{name} stands in the pipelines {seen[name]} and {pipeline.name}", pipeline.path,
                        expected="names that are unique in a zone",
                    )  # fmt: skip
                seen[name] = pipeline.name
    if document is None or file is None:  # what else is wrong with the zone has been told beside it
        return None
    subscriptions = tuple(
        Subscription(
            entry.publication, *_pair(entry.publication), entry.purpose,
            document.line("subscriptions", number, "publication"),
        )
        for number, entry in enumerate(file.subscriptions)
    )  # fmt: skip
    publications = {
        name: _publication(reading, document, folder, name, entry, pipelines)
        for name, entry in file.publications.items()
    }
    _check_contracts(reading, document, file, folder)
    access = tuple(
        RoleAccess(entry.role, *_pair(entry.dataset), entry.rows, entry.masks, document.line("access", number))
        for number, entry in enumerate(file.access)
    )
    return Zone(
        name=folder.name,
        title=file.title,
        owner=file.owner,
        stewards=tuple(file.stewards),
        engineers=tuple(file.engineers),
        analysts=tuple(file.analysts),
        auditors=tuple(file.auditors),
        publications=publications,
        subscriptions=subscriptions,
        pipelines=pipelines,
        retention=kept,
        path=folder / "zone.yaml",
        concurrency=file.concurrency,
        policies=_policies(reading, folder),
        notices=_zone_notices(reading, document, file, folder, pipelines),
        access=access,
    )


def _publication(
    reading: _Reading,
    document: Document,
    folder: Path,
    name: str,
    entry: PublicationFile,
    pipelines: Mapping[str, Pipeline],
) -> Publication:
    store, table = _pair(entry.dataset)
    known: dict[str, Contract] = {}
    for pipeline in pipelines.values():
        tables = pipeline.operational.values() if store == "operational" else pipeline.analytical.values()
        known |= {one.name: one.contract for one in tables}
    contract = None
    if table not in known:
        reading.fail(
            f"the publication {name} offers {entry.dataset}, which does not exist", document.path,
            expected=nearest(table, known) or ", ".join(known),
        )  # fmt: skip
    else:
        own = None if entry.contract is None else reading.contract(folder / entry.contract)
        if own is not None or entry.contract is None:
            offer = Offer(folder.name, name, entry, known[table], own, document)
            contract = reading.attempt(lambda: offered_contract(offer))
    given = entry.auto_approve
    return Publication(
        folder.name,
        name,
        entry.dataset,
        store,
        table,
        tuple(entry.columns) if entry.columns is not None else _names(contract) if entry.contract else None,
        entry.title,
        entry.description,
        # Where there is none, the project has a problem and is not used.
        contract or Contract(document.path, "", "", "", name, ()),
        entry.rows,
        entry.masks,
        None if entry.consumers is None else tuple(entry.consumers),
        AutoApprove() if given is None else AutoApprove(given.classification, tuple(given.zones)),
        document.line("publications", name, "rows"),
    )


def _check_contracts(reading: _Reading, document: Document, file: ZoneFile, folder: Path) -> None:
    """A contract beside the others that no publication names would be overlooked, and is a problem."""
    named = {entry.contract for entry in file.publications.values()}
    if (folder / PUBLICATIONS / "pipeline.yaml").is_file():
        return
    for path in sorted((folder / PUBLICATIONS).rglob("*.odcs.yaml")):
        name = path.relative_to(folder).as_posix()
        if name not in named:
            reading.fail(f"no publication has the contract {name}", document.path, expected=f"contract: {name}")


def _names(contract: Contract | None) -> tuple[str, ...] | None:
    return None if contract is None else tuple(field.name for field in contract.fields)


def _policies(reading: _Reading, folder: Path) -> tuple[PolicyText, ...]:
    """The zone's own policies; one that stands elsewhere would be overlooked, and is a problem."""
    for path in sorted(folder.rglob("*.cedar")):
        if path.parent != folder / POLICIES:
            reading.fail("no policy is read here", path, expected=f"{folder.name}/{POLICIES}/{path.name}")
    found = (reading.policy(path) for path in sorted((folder / POLICIES).glob("*.cedar")))
    return tuple(policy for policy in found if policy is not None)


def _zone_notices(
    reading: _Reading, document: Document, file: ZoneFile, folder: Path, pipelines: Mapping[str, Pipeline]
) -> tuple[Notice, ...]:
    for number, entry in enumerate(file.notify):
        for name in entry.pipelines:
            if name not in pipelines:
                reading.fail(
                    f"notify names the pipeline {name}, which does not exist", document.path,
                    document.line("notify", number, "pipelines"), nearest(name, pipelines) or ", ".join(pipelines),
                )  # fmt: skip
    return _notices(reading, document, file.notify, folder)


def _pair(name: str) -> tuple[str, str]:
    """The two parts of a dotted name."""
    first, _, second = name.partition(".")
    return first, second


def _named(reading: _Reading, folder: Path) -> None:
    if not re.fullmatch(NAME, folder.name):
        reading.fail(f"{folder.name} is not a name", folder, expected="small letters, digits and _, a letter first")


def _pipeline(reading: _Reading, zone: str, folder: Path, kept: RetentionFile) -> Pipeline | None:
    document = reading.attempt(lambda: reading.document(folder / "pipeline.yaml"))
    file = None if document is None else reading.attempt(lambda: checked(PipelineFile, document))
    if document is None or file is None:
        return None
    _named(reading, folder)
    operational: dict[str, OperationalTable] = {}
    for path in sorted((folder / "operational").glob("*.odcs.yaml")):
        contract = reading.contract(path)
        if contract is not None:
            name = path.name.removesuffix(".odcs.yaml")
            _typed(reading, contract)
            operational[name] = OperationalTable(zone, folder.name, name, contract)
    for table in operational.values():
        _check_keys(reading, table, operational)
    analytical: dict[str, AnalyticalTable] = {}
    for path in sorted((folder / "analytical").glob("*.odcs.yaml")):
        name = path.name.removesuffix(".odcs.yaml")
        contract, sql = reading.contract(path), reading.sql(path.with_name(f"{name}.sql"))
        if contract is not None and sql is not None:
            _typed(reading, contract)
            analytical[name] = AnalyticalTable(zone, folder.name, name, contract, sql, contract.refresh_by)
    sources: dict[str, Source] = {}
    for name, entry in file.sources.items():
        source = _source(reading, document, zone, folder, name, entry, operational)
        if source is not None:
            sources[name] = source
    for number, name in enumerate(file.precedence):
        if name not in file.sources:
            reading.fail(
                f"precedence names the source {name}, which does not exist", document.path,
                document.line("precedence", number), nearest(name, file.sources) or ", ".join(file.sources),
            )  # fmt: skip
    return Pipeline(
        zone=zone,
        name=folder.name,
        title=file.title,
        gate=file.steward.value(),
        ingress=reading.root / (file.ingress or f"ingress/{zone}/{folder.name}"),
        sources=sources,
        precedence=tuple(file.precedence),
        operational=operational,
        analytical=analytical,
        retention=kept.but(file.retention),
        path=document.path,
        triggers=_triggers(file),
    )


def _triggers(file: PipelineFile) -> Triggers:
    given = file.triggers
    return Triggers(
        arrival=all(entry.arrival is not False for entry in given),
        schedules=tuple(
            Schedule(entry.cron, entry.timezone or "UTC", entry.catch_up or "last") for entry in given if entry.cron
        ),
        after=tuple(entry.after for entry in given if entry.after),
        publications=tuple(_pair(entry.after_publication) for entry in given if entry.after_publication),
    )


def _typed(reading: _Reading, contract: Contract) -> None:
    for entry in contract.fields:
        if entry.type.kind == "object":
            reading.fail(
                f"{entry.name} has a type without columns", contract.path, entry.line,
                "string, integer, number, date, timestamp, time or boolean",
            )  # fmt: skip


def _check_keys(reading: _Reading, table: OperationalTable, tables: Mapping[str, OperationalTable]) -> None:
    for key in table.contract.foreign_keys:
        if key.table not in tables:
            reading.fail(
                f"{table.name} refers to the table {key.table}, which does not exist", table.contract.path, key.line,
                expected=nearest(key.table, tables) or ", ".join(tables),
            )  # fmt: skip
            continue
        other = tables[key.table].contract
        if key.to_columns != other.primary_key and key.to_columns not in other.unique_keys:
            reading.fail(
                f"{table.name} refers to {key.table} ({', '.join(key.to_columns)}), which is not a key of it",
                table.contract.path,
                key.line,
                expected=f"{key.table}.{', '.join(other.primary_key)}",
            )


def _source(
    reading: _Reading,
    document: Document,
    zone: str,
    folder: Path,
    name: str,
    entry: SourceFile,
    operational: Mapping[str, OperationalTable],
) -> Source | None:
    path = folder / (entry.contract or f"contracts/{name}.odcs.yaml")
    if not path.is_file():
        there = sorted(p.relative_to(folder).as_posix() for p in folder.glob("contracts/*.odcs.yaml"))
        near = nearest(path.relative_to(folder).as_posix(), there)
        reading.fail(
            f"the contract {path.relative_to(folder)} of source {name} does not exist", document.path,
            document.line("sources", name, "contract"), near or ", ".join(there) or None,
        )  # fmt: skip
        return None
    contract = reading.contract(path)
    if contract is None:
        return None
    _typed(reading, contract)
    clean_sql_path = folder / "clean" / f"{name}.sql"
    clean_contract_path = folder / "clean" / f"{name}.odcs.yaml"
    conform: dict[str, Sql] = {}
    for sql_path in sorted((folder / "conform" / name).glob("*.sql")):
        sql = reading.sql(sql_path)
        if sql_path.stem not in operational:
            reading.fail(
                f"there is no canonical table {sql_path.stem}", sql_path,
                expected=nearest(sql_path.stem, operational) or ", ".join(operational),
            )  # fmt: skip
        elif sql is not None:
            conform[sql_path.stem] = sql
            if entry.load.mode in ("upsert", "snapshot") and not operational[sql_path.stem].contract.primary_key:
                reading.fail(
                    f"{sql_path.stem} has no primary key, which mode {entry.load.mode} needs",
                    operational[sql_path.stem].contract.path,
                )
    if entry.load.by and conform:
        fits = [t for t in conform if set(entry.load.by) <= {f.name for f in operational[t].contract.fields}]
        if not fits:
            columns = sorted({f.name for t in conform for f in operational[t].contract.fields})
            close = [word for name in entry.load.by if name not in columns and (word := nearest(name, columns))]
            reading.fail(
                f"no canonical table of source {name} has the columns {', '.join(entry.load.by)}", document.path,
                document.line("sources", name, "load"), ", ".join(close) or ", ".join(columns),
            )  # fmt: skip
    period: Any = entry.period
    return Source(
        zone=zone,
        pipeline=folder.name,
        name=name,
        files=tuple(entry.files),
        contract=contract,
        load=LoadMode(entry.load.mode, tuple(entry.load.by)),
        period=None if period is None else Period(period.origin, period.pattern, period.sql),
        reader=_hints(reading, document, name, contract, entry.reader),
        checks=entry.checks,
        clean_sql=reading.sql(clean_sql_path) if clean_sql_path.is_file() else None,
        clean_contract=reading.contract(clean_contract_path) if clean_contract_path.is_file() else None,
        conform=conform,
        line=document.line("sources", name) or 0,
    )


def _hints(
    reading: _Reading, document: Document, name: str, contract: Contract, own: ReaderHints
) -> ReaderHints:
    """The contract's hints, with those of the pipeline in their place."""
    line = document.line("sources", name, "reader")
    hints = contract.reader.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})
    for pattern in (*hints.skip, *hints.footer):
        try:
            re.compile(pattern)
        except re.error as error:
            reading.fail(f"the pattern {pattern} is broken: {error}", document.path, line)
    names = [field.name for field in contract.fields]
    for wanted in (*hints.fill_down, *([hints.group_rows] if hints.group_rows else [])):
        if wanted not in names:
            reading.fail(
                f"{contract.dataset} has no field {wanted}", document.path, line,
                nearest(wanted, names) or ", ".join(names),
            )  # fmt: skip
    return hints


def _check_groups(
    reading: _Reading, document: Document, file: PlatformFile, zones: Mapping[str, Zone]
) -> None:
    there = {path.name for path in (reading.root / "zones").iterdir()} if (reading.root / "zones").is_dir() else set()
    for group, entry in file.groups.items():
        for zone in entry.zones:
            if zone not in there:
                reading.fail(
                    f"the group {group} has roles in the zone {zone}, which does not exist", document.path,
                    document.line("groups", group, "zones", zone), nearest(zone, zones) or ", ".join(zones) or None,
                )  # fmt: skip


def _check_publications(reading: _Reading, zones: Mapping[str, Zone]) -> None:
    for zone in zones.values():
        for publication in zone.publications.values():
            for other in {*(publication.consumers or ()), *publication.auto_approve.zones}:
                if other not in zones:
                    reading.fail(
                        f"the publication {publication.name} names the zone {other}, which does not exist", zone.path,
                        expected=nearest(other, zones) or ", ".join(zones),
                    )  # fmt: skip
        for subscription in zone.subscriptions:
            publisher = zones.get(subscription.zone)
            offered = [
                f"{one.name}.{name}"
                for one in zones.values()
                for name, publication in one.publications.items()
                if one is not zone and publication.offered_to(zone.name)
            ]
            # What is offered to others is, for this zone, not there.
            if publisher is None or f"{publisher.name}.{subscription.name}" not in offered:
                reading.fail(
                    f"{zone.name} subscribes to {subscription.publication}, which nobody publishes",
                    zone.path,
                    subscription.line,
                    expected=nearest(subscription.publication, offered) or ", ".join(offered),
                )
