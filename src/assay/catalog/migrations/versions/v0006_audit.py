"""The audit chain, to which entries can only be added."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SCHEMA = "assay"

#: For each statement, not each row: one that would change no row is refused too, and so is TRUNCATE.
ONLY_GROWS = """
CREATE FUNCTION assay.audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit chain only grows: % is refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON assay.audit
    FOR EACH STATEMENT EXECUTE FUNCTION assay.audit_only_grows();
-- Also in a session that calls itself a replica, where ordinary triggers rest.
ALTER TABLE assay.audit ENABLE ALWAYS TRIGGER audit_only_grows;
"""


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def upgrade() -> None:
    """Adds the table and its guard."""
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *map(_text, ("actor", "action", "resource", "outcome")),
        _text("zone", nullable=True),
        sa.Column("detail", JSONB, nullable=False),
        *map(_text, ("previous", "hash")),
        sa.CheckConstraint("outcome IN ('allow', 'deny', 'done')", name="audit_outcome"),
        schema=SCHEMA,
    )
    op.create_index("audit_by_zone", "audit", ["zone", "seq"], schema=SCHEMA)
    op.execute(ONLY_GROWS)
