"""From delivered files to a proposed contract.

No batch moves here. It stands beside `approve` because it asks the same readers and the same forms (`engines.forms`)
as the gate does: what it proposes, the gate accepts. `propose` is the door; `tables` finds the tables in the files,
`columns` says which columns are one, `typing` and `candidates` type them, `keys`, `personal` and `rows` see the rest.
"""
