"""The metadata tables, as SQLAlchemy Core knows them; `migrations/` brings a database to this shape."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import UserDefinedType

SCHEMA = "assay"
metadata = MetaData(schema=SCHEMA)


def _id() -> Column[int]:
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp())


def _moment(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True))


class _Xid8(UserDefinedType[str]):
    """The number of a PostgreSQL transaction."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


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
    # Its turn among the sources of its pipeline: rows that others refer to come first.
    Column("rank", SmallInteger, nullable=False, server_default="0"),
    # Who works on it: a lease that the owner renews, and a number that grows with every owner.
    Column("fence", BigInteger, nullable=False, server_default="0"),
    _text("lease_owner", nullable=True),
    Column("lease_backend", Integer),
    _moment("lease_until"),
    # What went wrong last: tried again at `retry_at`, or parked until somebody mends the cause.
    Column("attempts", Integer, nullable=False, server_default="0"),
    _moment("retry_at"),
    Column("failure", JSONB),
    Column("parked", Boolean, nullable=False, server_default="false"),
    Index("batch_by_replaced", "replaces_batch_id"),
    Index("batch_by_bytes", "zone", "pipeline", "source", "sha256"),
    Index("batch_by_state", "zone", "pipeline", "state"),
    Index(
        "batch_moving", "zone", "pipeline", "source", "id",
        postgresql_where=text("state IN ('landed', 'readable', 'clean', 'released', 'conformed')"),
    ),  # fmt: skip
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
profile = Table(
    "profile",
    metadata,
    _batch(primary_key=True),
    _text("fingerprint"),
    Column("body", JSONB, nullable=False),
    Index("profile_by_fingerprint", "fingerprint"),
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
    # A fingerprint of what was shown to the one who decided.
    _text("evidence", nullable=True),
)
configuration = Table(
    "configuration",
    metadata,
    _id(),
    _text("version"),
    _text("applied_by"),
    _now("applied_at"),
    Column("changes", JSONB, nullable=False),
    # The project's files as they were, by path: a batch keeps the configuration that it began with.
    Column("files", JSONB),
)
worker = Table(
    "worker",
    metadata,
    Column("id", Text, primary_key=True),
    _text("kind"),
    _text("host"),
    Column("pid", Integer, nullable=False),
    _text("actor"),
    _text("version"),
    _now("started_at"),
    _now("beat_at"),
)
zone_turn = Table("zone_turn", metadata, Column("zone", Text, primary_key=True), _now("served_at"))
event = Table(
    "event",
    metadata,
    _id(),
    # Readers go by the transaction: a smaller `id` may become visible later than a larger one.
    Column("transaction", _Xid8, nullable=False, server_default=text("pg_current_xact_id()")),
    _now("at"),
    _text("kind"),
    _text("zone", nullable=True),
    _text("pipeline", nullable=True),
    Column("batch_id", BigInteger, ForeignKey(f"{SCHEMA}.batch.id")),
    _text("segment", nullable=True),
    Column("body", JSONB, nullable=False),
    Index("event_by_batch", "batch_id"),
    Index("event_in_order", "transaction", "id"),
)
event_reader = Table(
    "event_reader",
    metadata,
    Column("name", Text, primary_key=True),
    Column("transaction", _Xid8, nullable=False),
    Column("id", BigInteger, nullable=False),
    # Why it does not get on, and when it tries again.
    Column("attempts", Integer, nullable=False, server_default="0"),
    _moment("retry_at"),
    Column("failure", Text),
)
notification = Table(
    "notification",
    metadata,
    _id(),
    Column("event_id", BigInteger, ForeignKey(f"{SCHEMA}.event.id", ondelete="CASCADE"), nullable=False),
    _text("channel"),
    _text("recipient"),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    _now("next_at"),
    _moment("sent_at"),
    _text("error", nullable=True),
    # The zone whose `notify` asked for it; none where that of the platform did.
    _text("zone", nullable=True),
    # An event is told once to each.
    UniqueConstraint("event_id", "channel", "recipient", name="notification_once"),
    Index("notification_waiting", "next_at", postgresql_where=text("state = 'waiting'")),
)
freshness = Table(
    "freshness",
    metadata,
    Column("zone", Text, primary_key=True),
    Column("dataset", Text, primary_key=True),
    # What was agreed when the watch began; another agreement begins another watch.
    _text("terms"),
    _now("since"),
    # The last time at which something was due and had not come, and an event said so.
    _moment("told"),
    Column("looked", Boolean, nullable=False, server_default="false"),
)
misfit = Table(
    "misfit",
    metadata,
    Column("path", Text, primary_key=True),
    Column("zone", Text, primary_key=True),
    Column("pipeline", Text, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("error", JSONB, nullable=False),
    _now("seen_at"),
)
schedule_run = Table(
    "schedule_run",
    metadata,
    Column("zone", Text, primary_key=True),
    Column("pipeline", Text, primary_key=True),
    Column("schedule", Text, primary_key=True),
    _now("due_at"),
    _moment("ran_at"),
)
account = Table(
    "account",
    metadata,
    _id(),
    _text("name"),
    # Null: nobody can log in with a password, as for a service that has tokens only.
    _text("password_hash", nullable=True),
    _text("created_by"),
    _now("created_at"),
    _moment("disabled_at"),
)
Index("account_by_name", func.lower(account.c.name), unique=True)
api_token = Table(
    "api_token",
    metadata,
    _id(),
    Column("hash", Text, nullable=False, unique=True),
    _text("user_name"),
    _text("kind"),
    _text("label"),
    Column("groups", JSONB, nullable=False),
    # Null: all zones, all actions.
    Column("zones", JSONB),
    Column("actions", JSONB),
    _text("created_by"),
    _now("created_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    _moment("revoked_at"),
)
Index("api_token_by_user", func.lower(api_token.c.user_name))
# Entries are made by `security.audit`; a trigger of the migration refuses everything but new ones.
audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", DateTime(timezone=True), nullable=False),
    *map(_text, ("actor", "action", "resource", "outcome")),
    _text("zone", nullable=True),
    Column("detail", JSONB, nullable=False),
    *map(_text, ("previous", "hash")),
    CheckConstraint("outcome IN ('allow', 'deny', 'done')", name="audit_outcome"),
    Index("audit_by_zone", "zone", "seq"),
)
subscription = Table(
    "subscription",
    metadata,
    _id(),
    # What is asked for: the publishing zone and its publication; and by whom: a zone or a user.
    *map(_text, ("zone", "publication", "kind", "subscriber", "purpose", "state")),
    _moment("until"),
    _moment("verified_at"),
    Index("subscription_by_subscriber", "kind", "subscriber"),
    Index("subscription_by_end", "until", postgresql_where=text("until IS NOT NULL AND state = 'granted'")),
    CheckConstraint("kind IN ('zone', 'user')", name="subscription_kind"),
)
Index(
    # Nobody asks twice for the same while he waits for it or has it.
    "subscription_open", subscription.c.zone, subscription.c.publication, subscription.c.kind,
    subscription.c.subscriber, unique=True, postgresql_where=text("state IN ('requested', 'granted', 'broken')"),
)  # fmt: skip
subscription_step = Table(
    "subscription_step",
    metadata,
    _id(),
    Column(
        "subscription_id", BigInteger, ForeignKey(f"{SCHEMA}.subscription.id"), nullable=False, index=True
    ),
    _text("state"),
    _text("by"),
    _text("reason"),
    _now("at"),
)
# Which zone a role of PostgreSQL belongs to; row-level security asks it.
zone_role = Table("zone_role", metadata, Column("role", Text, primary_key=True), _text("zone"))
maintenance = Table(
    "maintenance",
    metadata,
    _id(),
    _now("started_at"),
    _moment("finished_at"),
    _text("actor"),
    Column("steps", JSONB),
)
removal = Table(
    "removal",
    metadata,
    _batch(primary_key=True),
    Column("store", Text, primary_key=True),
    # The setting that said so, and the configuration that it stood in.
    _text("rule"),
    _text("config_version"),
    _now("removed_at"),
)
loose_file = Table(
    "loose_file",
    metadata,
    Column("path", Text, primary_key=True),
    # From then on nobody could come to know the file any more.
    _now("since"),
)
