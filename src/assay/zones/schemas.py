"""JSON Schemas of the project's files, for editors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from assay.zones.model import PipelineFile, PlatformFile, ZoneFile


def json_schemas() -> dict[str, dict[str, Any]]:
    """The schemas of assay.yaml, zone.yaml and pipeline.yaml."""
    models: dict[str, type[BaseModel]] = {"assay": PlatformFile, "zone": ZoneFile, "pipeline": PipelineFile}
    return {
        name: {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema(by_alias=True)}
        for name, model in models.items()
    }
