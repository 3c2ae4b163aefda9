"""The metadata tables, as SQLAlchemy Core knows them; `migrations/` brings a database to this shape."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "assay"
metadata = MetaData(schema=SCHEMA)


def _id() -> Column[int]:
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp())


def _text(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


def _batch(**options: bool) -> Column[int]:
    return Column("batch_id", BigInteger, ForeignKey(f"{SCHEMA}.batch.id"), nullable=False, **options)  # type: ignore[arg-type]


batch = Table(
    "batch",
    metadata,
    _id(),
    _text("zone"),
    _text("pipeline"),
    _text("source"),
    _text("file_name"),
    Column("size_bytes", BigInteger, nullable=False),
    _text("sha256"),
    _text("state"),
    _text("delivered_by"),
    _now("delivered_at"),
    _text("config_version"),
    _text("period", nullable=True),
    _now("moved_at"),
    Column("origin", Text, nullable=False, server_default="delivery"),
    Column("replaces_batch_id", BigInteger, ForeignKey(f"{SCHEMA}.batch.id")),
    Index("batch_by_replaced", "replaces_batch_id"),
    Index("batch_by_bytes", "zone", "pipeline", "source", "sha256"),
    Index("batch_by_state", "zone", "pipeline", "state"),
)
delivery = Table(
    "delivery",
    metadata,
    _id(),
    _batch(),
    _text("path"),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    _text("delivered_by"),
    _now("delivered_at"),
    Column("duplicate", Boolean, nullable=False),
    Index("delivery_by_path", "path"),
)
segment_run = Table(
    "segment_run",
    metadata,
    _id(),
    _batch(),
    _text("segment"),
    _text("outcome"),
    Column("seconds", Double, nullable=False),
    _now("finished_at"),
    Column("detail", JSONB, nullable=False),
    # A segment is done with a batch once: the database itself refuses a second time.
    UniqueConstraint("batch_id", "segment", name="segment_run_once"),
)
finding = Table(
    "finding",
    metadata,
    _id(),
    _batch(index=True),
    _text("segment"),
    _text("severity"),
    _text("kind"),
    Column("body", JSONB, nullable=False),
)
tally = Table(
    "tally",
    metadata,
    _id(),
    _batch(),
    _text("store"),
    Column("rows", BigInteger, nullable=False),
    Column("sums", JSONB, nullable=False),
    UniqueConstraint("batch_id", "store", name="tally_once"),
)
touched = Table(
    "touched",
    metadata,
    _batch(primary_key=True),
    Column("table_name", Text, primary_key=True),
    Column("touched", JSONB),
)
decision = Table(
    "decision",
    metadata,
    _id(),
    _batch(index=True),
    _text("decision"),
    _text("decided_by"),
    _text("reason"),
    _now("decided_at"),
)
configuration = Table(
    "configuration",
    metadata,
    _id(),
    _text("version"),
    _text("applied_by"),
    _now("applied_at"),
    Column("changes", JSONB, nullable=False),
)
