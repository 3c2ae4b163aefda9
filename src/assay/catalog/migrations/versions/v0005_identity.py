"""Accounts with passwords, and tokens that stand for a user for some time; of both only hashes are kept."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = "assay"


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True)


def _moment(name: str, *, now: bool = False, nullable: bool = True) -> sa.Column[object]:
    default = sa.func.clock_timestamp() if now else None
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable and not now, server_default=default)


def upgrade() -> None:
    """Adds accounts and tokens."""
    op.create_table(
        "account",
        _id(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("created_by", sa.Text, nullable=False),
        _moment("created_at", now=True),
        _moment("disabled_at"),
        schema=SCHEMA,
    )
    op.create_index("account_by_name", "account", [sa.text("lower(name)")], unique=True, schema=SCHEMA)
    op.create_table(
        "api_token",
        _id(),
        sa.Column("hash", sa.Text, nullable=False, unique=True),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("groups", JSONB, nullable=False),
        sa.Column("zones", JSONB),
        sa.Column("actions", JSONB),
        sa.Column("created_by", sa.Text, nullable=False),
        _moment("created_at", now=True),
        _moment("expires_at", nullable=False),
        _moment("revoked_at"),
        schema=SCHEMA,
    )
    op.create_index("api_token_by_user", "api_token", [sa.text("lower(user_name)")], schema=SCHEMA)
