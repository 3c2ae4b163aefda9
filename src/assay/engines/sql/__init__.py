"""What assay understands of a zone's SQL: what it reads, what it returns, and where each value comes from.

The SQL is DuckDB's dialect and is met through SQLGlot only here. Everything fails closed: a form that cannot be
followed is refused by name, with the file and the line, instead of being guessed at. Names of tables and columns
are compared and returned in lower case, as DuckDB ignores their case.
"""

from assay.engines.sql.condition import row_condition
from assay.engines.sql.lineage import column_lineage, identity_columns, output_columns
from assay.engines.sql.parse import ALLOWED, STORES, Parts, Reference, Schema, names_read, parse, references
from assay.engines.sql.provenance import with_provenance
from assay.engines.sql.refresh import Driving, ForeignKeys, Hop, JoinedTable, Tables, refresh_proof
from assay.engines.sql.trace import Made, Traced, condition_of, trace_rows

__all__ = [
    "ALLOWED",
    "STORES",
    "Driving",
    "ForeignKeys",
    "Hop",
    "JoinedTable",
    "Made",
    "Parts",
    "Reference",
    "Schema",
    "Tables",
    "Traced",
    "column_lineage",
    "condition_of",
    "identity_columns",
    "names_read",
    "output_columns",
    "parse",
    "references",
    "refresh_proof",
    "row_condition",
    "trace_rows",
    "with_provenance",
]
