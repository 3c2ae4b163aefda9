"""A corrected delivery names the batch that it replaces."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "assay"


def upgrade() -> None:
    op.add_column(
        "batch",
        sa.Column("replaces_batch_id", sa.BigInteger, sa.ForeignKey(f"{SCHEMA}.batch.id")),
        schema=SCHEMA,
    )
    # A batch has one successor at most; a later delivery replaces the successor in turn.
    op.create_index("batch_by_replaced", "batch", ["replaces_batch_id"], unique=True, schema=SCHEMA)
