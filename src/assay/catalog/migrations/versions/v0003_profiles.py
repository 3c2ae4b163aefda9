"""What the rows of each batch look like, to compare later ones with it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "assay"


def upgrade() -> None:
    """Adds the profiles."""
    op.create_table(
        "profile",
        sa.Column("batch_id", sa.BigInteger, sa.ForeignKey(f"{SCHEMA}.batch.id"), primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("body", JSONB, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("profile_by_fingerprint", "profile", ["fingerprint"], schema=SCHEMA)
