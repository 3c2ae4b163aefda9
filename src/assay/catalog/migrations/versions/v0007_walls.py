"""Row-level security: the role of a zone sees and writes what belongs to its zone."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCHEMA = "assay"

#: The zone of the role that acts. PostgreSQL asks once for a statement, not for each row.
MINE = "(SELECT z.zone FROM assay.zone_role AS z WHERE z.role = CURRENT_USER)"
OF_A_BATCH = "EXISTS (SELECT 1 FROM assay.batch AS b WHERE b.id = batch_id)"

#: Table → the rows that a zone's role may see and write; a row of a batch goes where the batch may be seen.
RULES = {
    "assay.zone_role": "role = CURRENT_USER",
    "assay.batch": f"zone = {MINE}",
    "assay.event": f"zone = {MINE}",
    **{f"assay.{table}": OF_A_BATCH for table in ("segment_run", "finding", "tally", "profile", "touched")},
    "iceberg_tables": f"split_part(table_namespace, '.', 1) = {MINE}",
    "iceberg_namespace_properties": f"split_part(namespace, '.', 1) = {MINE}",
}


def upgrade() -> None:
    """Adds the table of roles, and a policy to every table that movements touch."""
    op.create_table(
        "zone_role",
        sa.Column("role", sa.Text, primary_key=True),
        sa.Column("zone", sa.Text, nullable=False),
        schema=SCHEMA,
    )
    for table, rule in RULES.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        # The owner, too, gets what policies give him: all, by a policy of his own.
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY owner ON {table} TO CURRENT_USER USING (true)")
        op.execute(f"CREATE POLICY zone ON {table} USING ({rule})")
