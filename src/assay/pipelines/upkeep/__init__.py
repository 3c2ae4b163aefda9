"""The tasks of housekeeping, a module each; `pipelines/maintain.py` runs them. Each can be cut short anywhere."""
