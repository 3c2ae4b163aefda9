"""assay: delivered files become trusted data, or come back with the reason."""

__version__ = "0.1.0"
