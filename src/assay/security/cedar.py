"""Cedar, met here: policies and schema parsed once, requests evaluated, its errors as plain text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import cedarpy
from cedarpy import pst


@dataclass(frozen=True)
class Policy:
    """A policy that can be named: its id, the sentence that says what it is for, and the file that it stands in."""

    id: str
    effect: str
    because: str
    origin: str


@dataclass(frozen=True)
class Evaluation:
    """Cedar's answer: whether it allows, the policies that settled it, and what could not be evaluated."""

    allowed: bool
    policies: tuple[str, ...]
    errors: tuple[str, ...]


#: The parsed entities of one decision.
Slice = cedarpy.Entities


class Entities:
    """Parsed entities, to which those of one decision are added."""

    def __init__(self, entities: list[dict[str, Any]]) -> None:
        self._parsed = cedarpy.Entities.from_json_str(json.dumps(entities), schema())

    def adding(self, more: list[dict[str, Any]]) -> Slice:
        """These and some more, all held against the schema."""
        return self._parsed.with_added_json_str(json.dumps(more), schema())


@cache
def schema() -> cedarpy.Schema:
    """The types of principals, resources, actions and circumstances."""
    return cedarpy.Schema.from_str((_folder() / "schema.cedarschema").read_text("utf-8"))


@cache
def shipped() -> tuple[tuple[str, str], ...]:
    """The policies that assay brings along: (file name, text), by name."""
    files = sorted((file for file in _folder().iterdir() if file.name.endswith(".cedar")), key=lambda file: file.name)
    return tuple((file.name, file.read_text("utf-8")) for file in files)


@cache
def _shipped_set() -> cedarpy.PolicySet:
    return cedarpy.PolicySet.from_str("\n".join(text for _, text in shipped()))


@lru_cache(maxsize=4096)
def policy_set(texts: tuple[str, ...]) -> cedarpy.PolicySet:
    """The shipped policies, and those of a zone's own files."""
    return _shipped_set().with_added_str("\n".join(texts)) if texts else _shipped_set()


@lru_cache(maxsize=4096)
def mentioned(texts: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    """The entities that the policies of a zone's files mention, as (type, id)."""
    return frozenset(
        (str(entity.type), entity.id)
        for text in texts
        for policy in parsed(text)
        for entity in pst.entity_uids(policy)
    )


def evaluate(request: Mapping[str, Any], policies: cedarpy.PolicySet, entities: Slice) -> Evaluation:
    """Asks Cedar one question, held against the schema.

    An answer with any error allows nothing: Cedar itself skips a `forbid` that it could not evaluate.
    """
    answer = cedarpy.is_authorized(dict(request), policies, entities, schema())
    names = answer.diagnostics.id_annotations_by_reason
    errors = tuple(str(error) for error in answer.diagnostics.errors)
    settled = tuple(sorted(names.get(reason, reason) for reason in answer.diagnostics.reasons))
    return Evaluation(answer.allowed and not errors, settled, errors)


@lru_cache(maxsize=4096)
def parsed(text: str) -> tuple[pst.Template, ...]:
    """The policies and templates of a text as nodes, in the order of the text.

    Raises `ValueError` for what cannot be read.
    """
    found = cedarpy.policies_to_pst(text)
    every = {**found.templates, **found.static_policies}
    return tuple(every[name] for name in sorted(every, key=lambda name: int(name.removeprefix("policy"))))


def schema_errors(text: str) -> list[tuple[int, str]]:
    """(which policy, what is wrong with it) for every policy of a text that does not fit the schema."""
    found = cedarpy.validate_policies(text, schema()).errors
    return [(int(error.policy_id.removeprefix("policy") or 0), error.error) for error in found]


def described(text: str, origin: str) -> tuple[Policy, ...]:
    """The policies of a text, with what they say of themselves."""
    return tuple(
        Policy(
            one.annotations.get("id", one.id), one.effect.lower(), one.annotations.get("because", ""), origin
        )
        for one in parsed(text)
    )


@cache
def shipped_policies() -> dict[str, Policy]:
    """The policies that assay brings along, by id."""
    found = [policy for name, text in shipped() for policy in described(text, f"assay's {name}")]
    return {policy.id: policy for policy in found}


def _folder() -> Any:
    return resources.files("assay.security") / "policies"
