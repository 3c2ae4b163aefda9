"""Engines: what runs the SQL of a zone, and what understands it."""
