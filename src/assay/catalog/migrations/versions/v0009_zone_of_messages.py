"""A message knows the zone that asked for it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SCHEMA = "assay"


def upgrade() -> None:
    """Adds the zone; messages of before are of the zone of their event."""
    op.add_column("notification", sa.Column("zone", sa.Text), schema=SCHEMA)
