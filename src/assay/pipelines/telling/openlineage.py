"""Events of the catalog as OpenLineage run events: plain dictionaries after the published JSON Schemas.

A batch is a run of the job `zone.pipeline`, each try of a segment on it a run of `zone.pipeline.segment` below it.
The same event always makes the same documents, so a receiver that gets one twice sees one run.
"""

from __future__ import annotations

import importlib.metadata
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from assay import __version__
from assay.batch import Batch, Profile, Tally
from assay.catalog import events, records
from assay.catalog.events import Event
from assay.errors import AssayError
from assay.findings import Finding
from assay.flow import movement
from assay.pipelines.configurations import project_of
from assay.pipelines.observe import kinds_of
from assay.pipelines.telling.datasets import Dataset, Ends, bare_ends, ends

if TYPE_CHECKING:
    from assay.pipelines.platform import Platform
    from assay.pipelines.telling.receivers import Document
    from assay.zones.contract import Contract
    from assay.zones.project import Pipeline, Project, Source, Zone

EventType = Literal["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]

PRODUCER = f"urn:assay:{__version__}"
_SPEC = "https://openlineage.io/spec"
RUN_EVENT = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
#: The shape of the facet that is assay's own; `docs/reference/openlineage-batch.json` holds it.
BATCH_FACET = "urn:assay:openlineage:batch:1-0-0#/$defs/AssayBatchRunFacet"

#: The facets of the standard that are used: version and name of each one's schema.
_FACETS = {
    "columnLineage": "1-2-0/ColumnLineageDatasetFacet",
    "dataQualityAssertions": "1-1-0/DataQualityAssertionsDatasetFacet",
    "dataQualityMetrics": "1-0-3/DataQualityMetricsInputDatasetFacet",
    "documentation": "1-1-0/DocumentationJobFacet",
    "errorMessage": "1-0-1/ErrorMessageRunFacet",
    "jobType": "2-0-4/JobTypeJobFacet",
    "nominalTime": "1-0-1/NominalTimeRunFacet",
    "outputStatistics": "1-0-2/OutputStatisticsOutputDatasetFacet",
    "ownership": "1-0-1/OwnershipJobFacet",
    "parent": "1-2-0/ParentRunFacet",
    "processing_engine": "1-1-1/ProcessingEngineRunFacet",
    "schema": "1-2-0/SchemaDatasetFacet",
    "sql": "1-1-0/SQLJobFacet",
    "version": "1-0-1/DatasetVersionDatasetFacet",
}


def namespace_of(project: Project) -> str:
    """The namespace of the platform's jobs and datasets."""
    setting = project.target.lineage
    return (setting.namespace if setting else None) or f"assay://{project.name}/{project.target.name}"


def documents(platform: Platform, event: Event) -> list[Document]:
    """The run events that tell what happened; none for events that are of no batch, or that move nothing."""
    if event.batch is None:
        return []
    story = _Story(platform, event, records.batch(platform.connection, event.batch))
    match event.kind:
        case "landed":
            return [story.batch("START"), story.segment("START"), story.segment("COMPLETE")]
        case "started":
            return [*story.abandoned(), story.segment("START")]
        case "finished" if "fence" not in event.body:  # done in one stroke, without a worker's try before it
            return [story.segment("START"), story.segment("COMPLETE")]
        case "finished":
            return [story.segment("COMPLETE")]
        case "done":
            return [*([story.segment("COMPLETE")] if event.segment else []), story.batch("COMPLETE")]
        case "retrying" | "failed":
            return [story.segment("FAIL")]
        case "rejected":
            return [*([story.segment("FAIL")] if event.segment else []), story.batch("FAIL")]
        case "held" | "released":
            return [story.batch("RUNNING")]
        case "replaced" | "withdrawn":
            return [story.batch("OTHER")]
    return []


@dataclass(frozen=True)
class _Told:
    """What the records say of a segment's run."""

    findings: tuple[Finding, ...] = ()
    tallies: tuple[Tally, ...] = ()
    profile: Profile | None = None
    tables: tuple[str, ...] | None = None


class _Story:
    """One event and everything that its documents are made of."""

    def __init__(self, platform: Platform, event: Event, batch: Batch) -> None:
        self._platform = platform
        self._event = event
        self._batch = batch
        self._namespace = namespace_of(platform.project)
        self._project = self._project_then()

    def _project_then(self) -> Project | None:
        """The project under which the batch was worked on; None where it cannot be had any more."""
        try:
            version = str(self._event.body.get("version") or self._batch.config_version)
            return project_of(self._platform.connection, self._platform.project, version)
        except AssayError:
            return None

    def batch(self, kind: EventType) -> Document:
        """A document of the batch's own run."""
        return self._document(kind, self._batch_run(), self._job(None, ()), self._batch_facets(kind), (), ())

    def segment(self, kind: EventType) -> Document:
        """A document of the run of the event's segment."""
        return self._segment(kind, self._event)

    def abandoned(self) -> list[Document]:
        """The end of a try that was begun before and never ended: its process is gone."""
        before = events.before(self._platform.connection, self._event)
        if before is None or before.kind != "started" or _try(before) == _try(self._event):
            return []
        return [self._segment("ABORT", before)]

    def _segment(self, kind: EventType, at: Event) -> Document:
        assert at.segment is not None
        told = self._told(at.segment) if kind in ("COMPLETE", "FAIL") else _Told()
        both = self._ends(at.segment, told.tables)
        written = kind in ("START", "COMPLETE")
        return self._document(
            kind,
            self._run_id(at.segment, _try(at)),
            self._job(at.segment, both.sql),
            {**self._batch_facets(kind, at), "parent": self._parent()},
            # The first input is the batch's own, but for analytical tables, which read the tables of all batches.
            [
                self._input(one, told, at.segment, kind, own=number == 0 and at.segment != "denormalize")
                for number, one in enumerate(both.inputs)
            ],
            [self._output(one, told, kind) for one in both.outputs] if written else [],
        )

    def _document(
        self,
        kind: EventType,
        run: str,
        job: Document,
        facets: Mapping[str, Document],
        inputs: Iterable[Document],
        outputs: Iterable[Document],
    ) -> Document:
        return {
            "eventType": kind,
            "eventTime": _time(self._event.at),
            "producer": PRODUCER,
            "schemaURL": RUN_EVENT,
            "run": {"runId": run, "facets": dict(facets)},
            "job": job,
            "inputs": list(inputs),
            "outputs": list(outputs),
        }

    # --- runs --------------------------------------------------------------------------------------------------

    def _run_id(self, *parts: object) -> str:
        """The same for the same try; the time of delivery tells batches of a platform that began anew apart."""
        batch = self._batch
        words = [self._namespace, batch.id, batch.delivered_at.isoformat(), *parts]
        return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(map(str, words))))

    def _batch_run(self) -> str:
        return self._run_id()

    def _parent(self) -> Document:
        run, job = {"runId": self._batch_run()}, {"namespace": self._namespace, "name": self._job_name(None)}
        return _facet("parent", run=run, job=job, root={"run": run, "job": job})

    def _batch_facets(self, kind: EventType, at: Event | None = None) -> dict[str, Document]:
        event, batch = at or self._event, self._batch
        about = {
            "batch": batch.id,
            "zone": batch.zone,
            "pipeline": batch.pipeline,
            "source": batch.source,
            "fileName": batch.file_name,
            "sha256": batch.sha256,
            "sizeBytes": batch.size_bytes,
            "state": self._state(event),
            "origin": batch.origin,
            "period": batch.period,
            "replaces": batch.replaces,
            "configuration": event.body.get("version") or batch.config_version,
            "attempt": event.body.get("fence"),
        }
        facets = {
            "nominalTime": _facet("nominalTime", nominalStartTime=_time(batch.delivered_at)),
            "processing_engine": _facet(
                "processing_engine", name="DuckDB", version=importlib.metadata.version("duckdb"),
                openlineageAdapterVersion=__version__,
            ),
            "assay_batch": {
                "_producer": PRODUCER, "_schemaURL": BATCH_FACET,
                **{name: value for name, value in about.items() if value is not None},
            },
        }  # fmt: skip
        if kind == "FAIL":
            facets["errorMessage"] = _facet("errorMessage", message=self._why(), programmingLanguage="Python")
        return facets

    def _state(self, event: Event) -> str:
        """Where the batch stood after the event, whatever became of it since."""
        if event.kind == "finished" and event.segment:
            return movement(event.segment).after
        if event.kind in ("started", "retrying", "failed") and event.segment:
            return movement(event.segment).before or "landed"
        return event.kind

    def _why(self) -> str:
        """Why a run failed, in words that hold no value of a delivered file."""
        event = self._event
        if event.kind != "rejected":
            return str(event.body.get("error", "failed"))
        if event.segment is None:
            return "rejected by a steward" if event.body.get("by") else "rejected at the steward's gate"
        return f"rejected: {kinds_of(self._findings(event.segment))}"

    # --- jobs --------------------------------------------------------------------------------------------------

    def _job_name(self, segment: str | None) -> str:
        return ".".join([self._batch.zone, self._batch.pipeline, *([segment] if segment else [])])

    def _job(self, segment: str | None, sql: tuple[str, ...]) -> Document:
        kind = "SEGMENT" if segment else "PIPELINE"
        facets = {"jobType": _facet("jobType", processingType="BATCH", integration="ASSAY", jobType=kind)}
        zone, pipeline = self._place()
        if zone is not None and pipeline is not None:
            facets["documentation"] = _facet("documentation", description=pipeline.title)
            owners = [{"name": zone.owner, "type": "owner"}, *({"name": n, "type": "steward"} for n in zone.stewards)]
            facets["ownership"] = _facet("ownership", owners=owners)
        if sql:
            facets["sql"] = _facet("sql", query=";\n".join(one.strip().rstrip(";") for one in sql), dialect="duckdb")
        return {"namespace": self._namespace, "name": self._job_name(segment), "facets": facets}

    def _place(self) -> tuple[Zone | None, Pipeline | None]:
        zone = self._project.zones.get(self._batch.zone) if self._project else None
        return zone, zone.pipelines.get(self._batch.pipeline) if zone else None

    # --- datasets ----------------------------------------------------------------------------------------------

    def _source(self) -> Source | None:
        _, pipeline = self._place()
        return pipeline.sources.get(self._batch.source) if pipeline else None

    def _ends(self, segment: str, tables: tuple[str, ...] | None) -> Ends:
        source = self._source()
        if self._project is not None and source is not None:
            try:
                return ends(self._project, source, segment, tables)
            except AssayError:  # SQL that this version of assay does not follow
                pass
        return bare_ends(self._batch.zone, self._batch.source, segment)

    def _findings(self, segment: str) -> tuple[Finding, ...]:
        found = records.findings(self._platform.connection, self._batch.id)
        return tuple(one for made, one in found if made == segment)

    def _told(self, segment: str) -> _Told:
        connection, number = self._platform.connection, self._batch.id
        tables = None
        if segment == "denormalize":
            runs = [run for run in records.runs(connection, number) if run["segment"] == segment]
            tables = tuple(runs[-1]["detail"]) if runs and runs[-1]["outcome"] == "done" else None
        return _Told(
            self._findings(segment), tuple(records.tallies(connection, number)), records.profile(connection, number),
            tables,
        )  # fmt: skip

    def _dataset(self, one: Dataset) -> Document:
        facets: dict[str, Document] = {}
        if one.columns:
            fields = [
                {"name": name, "type": kind, "ordinal_position": place, **({"description": words} if words else {})}
                for place, (name, kind, words) in enumerate(one.columns, 1)
            ]
            facets["schema"] = _facet("schema", fields=fields)
        if one.contract is not None:
            version = f"{one.contract.id} {one.contract.version} {one.contract.fingerprint}"
            facets["version"] = _facet("version", datasetVersion=version)
        return {"namespace": self._namespace, "name": ".".join(one.name), "facets": facets}

    def _input(self, one: Dataset, told: _Told, segment: str, kind: EventType, *, own: bool) -> Document:
        made = self._dataset(one)
        if not own or kind not in ("COMPLETE", "FAIL") or segment == "land":
            return made
        facets = {"dataQualityAssertions": _facet("dataQualityAssertions", assertions=self._assertions(segment, told))}
        tally = _tally(told.tallies, "delivered" if one.name[1] == "landing" else one.name[1])
        if tally is not None:
            facets["dataQualityMetrics"] = _facet("dataQualityMetrics", **_metrics(tally, told.profile, one.contract))
        return {**made, "inputFacets": facets}

    def _output(self, one: Dataset, told: _Told, kind: EventType) -> Document:
        made = self._dataset(one)
        if one.origins:
            made["facets"]["columnLineage"] = _facet("columnLineage", fields={
                column: {"inputFields": [
                    {"namespace": self._namespace, "name": ".".join(name), "field": field,
                     "transformations": [{"type": "DIRECT"}]}
                    for name, field in behind
                ]}
                for column, behind in one.origins
            })  # fmt: skip
        if kind == "COMPLETE":
            store = one.name[1] if one.name[1] != "operational" else ".".join(one.name[1:])
            statistics: dict[str, Any] = {}
            if one.name[1] == "landing":
                statistics = {"size": self._batch.size_bytes, "fileCount": 1}
            elif (tally := _tally(told.tallies, store)) is not None:
                statistics = {"rowCount": tally.rows}
            if statistics:
                made["outputFacets"] = {"outputStatistics": _facet("outputStatistics", **statistics)}
        return made

    def _assertions(self, segment: str, told: _Told) -> list[Document]:
        """What was found wrong, and which rules of the contract held."""
        made = [
            {
                "assertion": one.kind,
                "success": one.severity == "info",
                "severity": "error" if one.severity == "error" else "warn",
                "actual": str(one.count),
                **({"column": one.field} if one.field else {}),
                **({"name": one.rule} if one.rule else {}),
            }
            for one in told.findings
        ]
        source = self._source()
        if segment == "clean" and source is not None:
            broken = {one.rule for one in told.findings}
            made += [
                {"assertion": rule.kind, "success": True, "name": rule.name}
                for rule in source.contract.rules
                if rule.name not in broken
            ]
        elif segment == "approve" and source is not None:
            fits = not any(one.severity == "error" for one in told.findings)
            made.append({"assertion": "contract", "success": fits, "name": source.contract.id})
        return made


def _metrics(tally: Tally, profile: Profile | None, contract: Contract | None) -> dict[str, Any]:
    """Rows, sums and empty cells; nothing is summed of a field whose values no report shows."""
    hidden = {field.name for field in contract.fields if field.sensitive} if contract else set()
    columns: dict[str, dict[str, Any]] = {}
    for name, total in tally.sums.items():
        if name not in hidden:
            columns[name] = {"sum": int(total) if total == total.to_integral_value() else float(total)}
    if profile is not None and tally.store in ("readable", "delivered") and profile.rows == tally.rows:
        for name, column in profile.columns.items():
            columns.setdefault(name, {})["nullCount"] = column.nulls
    return {"rowCount": tally.rows, "columnMetrics": columns}


def _tally(tallies: Iterable[Tally], store: str) -> Tally | None:
    return next((one for one in tallies if one.store == store), None)


def _facet(facet: str, /, **values: Any) -> Document:
    schema = _FACETS[facet]
    url = f"{_SPEC}/facets/{schema}.json#/$defs/{schema.partition('/')[2]}"
    return {"_producer": PRODUCER, "_schemaURL": url, **values}


def _try(event: Event) -> str:
    """What tells one try from the others of a segment on a batch."""
    return str(event.body["fence"]) if "fence" in event.body else f"event {event.id}"


def _time(moment: datetime) -> str:
    return moment.isoformat()
