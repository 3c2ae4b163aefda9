"""Subscriptions and the decisions on them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SCHEMA = "assay"


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True)


def upgrade() -> None:
    """Adds the tables; what zones subscribe to is asked for by the next `assay apply`."""
    op.create_table(
        "subscription",
        _id(),
        *map(_text, ("zone", "publication", "kind", "subscriber", "purpose", "state")),
        sa.Column("until", sa.DateTime(timezone=True)),
        sa.Column("verified_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("kind IN ('zone', 'user')", name="subscription_kind"),
        schema=SCHEMA,
    )
    op.create_index(
        "subscription_open",
        "subscription",
        ["zone", "publication", "kind", "subscriber"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("state IN ('requested', 'granted', 'broken')"),
    )
    op.create_index("subscription_by_subscriber", "subscription", ["kind", "subscriber"], schema=SCHEMA)
    op.create_index(
        "subscription_by_end",
        "subscription",
        ["until"],
        schema=SCHEMA,
        postgresql_where=sa.text("until IS NOT NULL AND state = 'granted'"),
    )
    op.create_table(
        "subscription_step",
        _id(),
        sa.Column(
            "subscription_id", sa.BigInteger, sa.ForeignKey(f"{SCHEMA}.subscription.id"), nullable=False, index=True
        ),
        *map(_text, ("state", "by", "reason")),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
        schema=SCHEMA,
    )
