"""Batches are worked on under a lease by several processes, and what happens is told to whoever listens."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import UserDefinedType

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCHEMA = "assay"


class Xid8(UserDefinedType[str]):
    """The number of a PostgreSQL transaction."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


def _moment(name: str, *, now: bool = False) -> sa.Column[object]:
    default = sa.func.clock_timestamp() if now else None
    return sa.Column(name, sa.DateTime(timezone=True), nullable=not now, server_default=default)


def upgrade() -> None:
    """Adds leases, failures, workers, turns of zones, events, schedules, the files of configurations, and upkeep."""
    for column in (
        sa.Column("rank", sa.SmallInteger, nullable=False, server_default="0"),
        sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("lease_owner", sa.Text),
        sa.Column("lease_backend", sa.Integer),
        _moment("lease_until"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        _moment("retry_at"),
        sa.Column("failure", JSONB),
        sa.Column("parked", sa.Boolean, nullable=False, server_default="false"),
    ):
        op.add_column("batch", column, schema=SCHEMA)
    op.create_index(
        "batch_moving", "batch", ["zone", "pipeline", "source", "id"], schema=SCHEMA,
        postgresql_where=sa.text("state IN ('landed', 'readable', 'clean', 'released', 'conformed')"),
    )  # fmt: skip
    op.add_column("decision", sa.Column("evidence", sa.Text), schema=SCHEMA)
    op.add_column("configuration", sa.Column("files", JSONB), schema=SCHEMA)
    op.create_table(
        "worker",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        _moment("started_at", now=True),
        _moment("beat_at", now=True),
        schema=SCHEMA,
    )
    op.create_table(
        "zone_turn",
        sa.Column("zone", sa.Text, primary_key=True),
        _moment("served_at", now=True),
        schema=SCHEMA,
    )
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("transaction", Xid8, nullable=False, server_default=sa.text("pg_current_xact_id()")),
        _moment("at", now=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("zone", sa.Text),
        sa.Column("pipeline", sa.Text),
        sa.Column("batch_id", sa.BigInteger, sa.ForeignKey(f"{SCHEMA}.batch.id")),
        sa.Column("segment", sa.Text),
        sa.Column("body", JSONB, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("event_by_batch", "event", ["batch_id"], schema=SCHEMA)
    op.create_index("event_in_order", "event", ["transaction", "id"], schema=SCHEMA)
    op.create_table(
        "event_reader",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("transaction", Xid8, nullable=False),
        sa.Column("id", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        _moment("retry_at"),
        sa.Column("failure", sa.Text),
        schema=SCHEMA,
    )
    op.create_table(
        "notification",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("event_id", sa.BigInteger, sa.ForeignKey(f"{SCHEMA}.event.id", ondelete="CASCADE"), nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="waiting"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        _moment("next_at", now=True),
        _moment("sent_at"),
        sa.Column("error", sa.Text),
        sa.UniqueConstraint("event_id", "channel", "recipient", name="notification_once"),
        schema=SCHEMA,
    )
    op.create_index(
        "notification_waiting", "notification", ["next_at"], schema=SCHEMA,
        postgresql_where=sa.text("state = 'waiting'"),
    )  # fmt: skip
    op.create_table(
        "freshness",
        sa.Column("zone", sa.Text, primary_key=True),
        sa.Column("dataset", sa.Text, primary_key=True),
        sa.Column("terms", sa.Text, nullable=False),
        _moment("since", now=True),
        _moment("told"),
        sa.Column("looked", sa.Boolean, nullable=False, server_default="false"),
        schema=SCHEMA,
    )
    op.create_table(
        "misfit",
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("zone", sa.Text, primary_key=True),
        sa.Column("pipeline", sa.Text, primary_key=True),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("error", JSONB, nullable=False),
        _moment("seen_at", now=True),
        schema=SCHEMA,
    )
    op.create_table(
        "schedule_run",
        sa.Column("zone", sa.Text, primary_key=True),
        sa.Column("pipeline", sa.Text, primary_key=True),
        sa.Column("schedule", sa.Text, primary_key=True),
        _moment("due_at", now=True),
        _moment("ran_at"),
        schema=SCHEMA,
    )
    _upkeep()


def _upkeep() -> None:
    """What housekeeping did, what it took away from batches, and which files it is about to remove."""
    op.create_table(
        "maintenance",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        _moment("started_at", now=True),
        _moment("finished_at"),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("steps", JSONB),
        schema=SCHEMA,
    )
    op.create_table(
        "removal",
        sa.Column("batch_id", sa.BigInteger, sa.ForeignKey(f"{SCHEMA}.batch.id"), primary_key=True),
        sa.Column("store", sa.Text, primary_key=True),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("config_version", sa.Text, nullable=False),
        _moment("removed_at", now=True),
        schema=SCHEMA,
    )
    op.create_table(
        "loose_file",
        sa.Column("path", sa.Text, primary_key=True),
        _moment("since", now=True),
        schema=SCHEMA,
    )
