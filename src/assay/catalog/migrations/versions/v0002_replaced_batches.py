"""A batch may take the place of another: a corrected delivery, or a replay of the same bytes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "assay"


def upgrade() -> None:
    """Adds where a batch came from and whose place it takes."""
    op.add_column("batch", sa.Column("origin", sa.Text, nullable=False, server_default="delivery"), schema=SCHEMA)
    replaces = sa.Column("replaces_batch_id", sa.BigInteger, sa.ForeignKey(f"{SCHEMA}.batch.id"))
    op.add_column("batch", replaces, schema=SCHEMA)
    op.create_index("batch_by_replaced", "batch", ["replaces_batch_id"], schema=SCHEMA)
