"""Readers: a raw file becomes cells of text with their positions and what kind of cell each was."""
