"""Batches, deliveries, runs, findings, reconciliation, decisions, applied configurations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "assay"
NOW = sa.text("clock_timestamp()")


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=NOW)


def _batch() -> sa.Column[int]:
    return sa.Column("batch_id", sa.BigInteger, sa.ForeignKey(f"{SCHEMA}.batch.id"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "batch",
        _id(),
        *map(_text, ("zone", "pipeline", "source", "file_name")),
        _whole("size_bytes"),
        *map(_text, ("sha256", "state", "delivered_by")),
        _now("delivered_at"),
        _text("config_version"),
        sa.Column("period", sa.Text),
        _now("moved_at"),
        schema=SCHEMA,
    )
    op.create_index("batch_by_bytes", "batch", ["zone", "pipeline", "source", "sha256"], schema=SCHEMA)
    op.create_index("batch_by_state", "batch", ["zone", "pipeline", "state"], schema=SCHEMA)
    op.create_table(
        "delivery",
        _id(),
        _batch(),
        _text("path"),
        _whole("size_bytes"),
        _whole("mtime_ns"),
        _text("delivered_by"),
        _now("delivered_at"),
        sa.Column("duplicate", sa.Boolean, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("delivery_by_path", "delivery", ["path"], schema=SCHEMA)
    op.create_table(
        "segment_run",
        _id(),
        _batch(),
        *map(_text, ("segment", "outcome")),
        sa.Column("seconds", sa.Double, nullable=False),
        _now("finished_at"),
        sa.Column("detail", JSONB, nullable=False),
        sa.UniqueConstraint("batch_id", "segment", name="segment_run_once"),
        schema=SCHEMA,
    )
    op.create_table(
        "finding",
        _id(),
        _batch(),
        *map(_text, ("segment", "severity", "kind")),
        sa.Column("body", JSONB, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("ix_assay_finding_batch_id", "finding", ["batch_id"], schema=SCHEMA)
    op.create_table(
        "tally",
        _id(),
        _batch(),
        _text("store"),
        _whole("rows"),
        sa.Column("sums", JSONB, nullable=False),
        sa.UniqueConstraint("batch_id", "store", name="tally_once"),
        schema=SCHEMA,
    )
    op.create_table(
        "touched",
        sa.Column("batch_id", sa.BigInteger, sa.ForeignKey(f"{SCHEMA}.batch.id"), primary_key=True),
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column("touched", JSONB),
        schema=SCHEMA,
    )
    op.create_table(
        "decision",
        _id(),
        _batch(),
        *map(_text, ("decision", "decided_by", "reason")),
        _now("decided_at"),
        schema=SCHEMA,
    )
    op.create_index("ix_assay_decision_batch_id", "decision", ["batch_id"], schema=SCHEMA)
    op.create_table(
        "configuration",
        _id(),
        *map(_text, ("version", "applied_by")),
        _now("applied_at"),
        sa.Column("changes", JSONB, nullable=False),
        schema=SCHEMA,
    )
