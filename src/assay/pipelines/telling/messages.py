"""The facts of an event as plain values, of which templates make a message.

They hold what reports show, and of that only cells that are internal at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from assay.batch import Batch
from assay.catalog import records, subscriptions
from assay.catalog.events import Event, of_batch
from assay.catalog.subscriptions import STATES
from assay.pipelines.returns import batch_report
from assay.security.classes import OPEN, classes_of
from assay.stewardship.masking import Cells
from assay.stewardship.report import Outcome, shown

if TYPE_CHECKING:
    from assay.pipelines.platform import Platform
    from assay.stewardship.report import Report

#: What a subject and a summary say of each kind; the values are those of `_words`.
_SUBJECTS = {
    "rejected": "{file} was rejected",
    "held": "{file} waits for a steward",
    "released": "{file} was released",
    "done": "{file} is through",
    "failed": "{file} cannot go on: {segment} failed",
    "late": "{dataset} is late",
    "reminded": "{file} still waits for a steward",
    "escalated": "{file} has waited too long for a steward",
    "withdrawn": "{file} was withdrawn",
    "requested": "{publication} is asked for by {subscriber}",
    "granted": "{publication} is granted to {subscriber}",
    "refused": "{publication} is refused to {subscriber}",
    "revoked": "{publication} is revoked from {subscriber}",
    "expired": "{publication} has expired for {subscriber}",
    "broken": "{publication} is broken for {subscriber}",
    "ended": "{publication} has ended for {subscriber}",
    "cancelled": "{publication} is cancelled by {subscriber}",
}
_SUMMARIES = {
    "failed": "{segment} failed with {file}: {words}. It waits until the cause is mended.",
    "late": "{dataset} was due at {due} and has not come; {last}.",
    "reminded": "{file} has waited for a steward since {since}.",
    "escalated": "{file} has waited for a steward since {since}.",
    "requested": "{publication} is asked for by {subscriber}; the owner decides.",
    "revoked": "{publication} is no longer granted to {subscriber}: the grant was revoked.",
    "expired": "{publication} is no longer granted to {subscriber}: the grant has expired.",
    "ended": "The subscription of {subscriber} to {publication} has ended: it is asked for, or offered, no longer.",
    "cancelled": "The subscription of {subscriber} to {publication} was cancelled: it is not needed any more.",
    "broken": "{publication} cannot be read by {subscriber} until the grant is mended: a trial showed more or less "
    "than was granted.",
}
_OUTCOMES: Mapping[str, Outcome] = {
    "rejected": "rejected", "held": "held", "reminded": "held", "escalated": "held", "released": "accepted",
    "done": "accepted",
}  # fmt: skip
_NEXT: Mapping[str, str] = {
    "rejected": "assay batch show {batch}",
    "held": "assay batch show {batch}",
    "reminded": "assay batch show {batch}",
    "escalated": "assay batch show {batch}",
    "failed": "assay batch show {batch}",
    "late": "assay status",
    **dict.fromkeys(STATES, "assay subscription show {subscription}"),
}


def facts(platform: Platform, event: Event) -> dict[str, Any]:
    """What templates can use, JSON-ready; `docs/reference/notifications.md` lists it."""
    project = platform.project
    zone = project.zones.get(event.zone or "")
    pipeline = zone.pipelines.get(event.pipeline or "") if zone else None
    batch = None if event.batch is None else records.batch(platform.connection, event.batch)
    report = None if batch is None or event.kind not in _OUTCOMES else _report(platform, event)
    body = event.body
    since = body.get("since") or (None if batch is None else _held_since(platform, event))
    words = {
        "file": shown(batch.file_name) if batch else "",
        "batch": event.batch,
        "segment": event.segment,
        "words": body.get("words", "see the log"),
        "dataset": body.get("dataset"),
        "due": body.get("due"),
        "last": f"the last one came at {body['last']}" if body.get("last") else "none has come yet",
        "since": since,
        **_subscription_words(event),
    }
    kind = event.word
    subject = _SUBJECTS.get(kind, kind).format(**words)
    summary = _SUMMARIES[kind].format(**words) if kind in _SUMMARIES else f"{subject}."
    return {
        "event": {"id": event.id, "kind": kind, "at": _time(event.at), "segment": event.segment},
        "platform": {"name": project.name, "title": project.title or project.name, "target": project.target.name},
        "zone": {"name": event.zone, "title": zone.title if zone else event.zone},
        "pipeline": {"name": event.pipeline, "title": pipeline.title if pipeline else event.pipeline},
        "batch": _batch_facts(batch) if batch else None,
        "late": {name: body.get(name) for name in _LATE} if kind == "late" else None,
        "subscription": _subscription_facts(platform, event),
        "report": None if report is None else report.to_dict(),
        "subject": subject,
        "summary": report.summary if report is not None and kind not in _SUMMARIES else summary,
        # Of a subscription no person is named: its number says who asked and who decided, to those who may know.
        "by": shown(str(body["by"])) if body.get("by") and event.kind != "subscription" else None,
        "reason": shown(str(body["reason"])) if body.get("reason") and kind not in _REASONLESS else None,
        "next": _NEXT[kind].format(**words) if kind in _NEXT else None,
    }


#: What a `late` event says.
_LATE = ("dataset", "due", "last", "missed")
#: The reason of a request is its purpose; what a trial found is in the words of the engine, which may hold a value.
_REASONLESS = frozenset({"requested", "broken"})


def _subscription_words(event: Event) -> dict[str, Any]:
    if event.kind != "subscription":
        return {}
    body = event.body
    subscriber = "a user" if body["kind"] == "user" else f"zone {body['subscriber']}"
    return {
        "subscription": body["subscription"],
        "publication": f"{event.zone}.{body['publication']}",
        "subscriber": subscriber,
    }


def _subscription_facts(platform: Platform, event: Event) -> dict[str, Any] | None:
    if event.kind != "subscription":
        return None
    words = _subscription_words(event)
    found = subscriptions.subscription(platform.connection, words["subscription"])
    return {
        "id": found.id, "publication": words["publication"], "subscriber": words["subscriber"],
        "purpose": shown(found.purpose),
        "until": None if found.until is None else f"{found.until - timedelta(seconds=1):%Y-%m-%d}",
    }  # fmt: skip


def _batch_facts(batch: Batch) -> dict[str, Any]:
    return {
        "id": batch.id, "source": batch.source, "file": shown(batch.file_name), "period": batch.period,
        "delivered_by": shown(batch.delivered_by), "delivered_at": _time(batch.delivered_at), "sha256": batch.sha256,
    }  # fmt: skip


def _report(platform: Platform, event: Event) -> Report:
    """The report as of the event: the batch may have gone on since."""
    assert event.batch is not None
    made = batch_report(platform, event.batch, _OUTCOMES[event.kind], _leaving(platform, event))
    if made.dataset is not None:
        return made
    # Without the contract nothing says which fields are sensitive.
    groups = tuple(
        replace(group, problems=tuple(replace(problem, cells=()) for problem in group.problems))
        for group in made.groups
    )
    return replace(made, groups=groups)


def _leaving(platform: Platform, event: Event) -> Cells:
    """A message leaves the platform, to whomever: it shows cells that are internal at most."""
    zone = platform.project.zones.get(event.zone or "")
    batch = records.batch(platform.connection, event.batch or 0)
    source = zone.sources.get(batch.source) if zone else None
    fields = {} if source is None else {field.name: classes_of(field) for field in source.contract.fields}
    return Cells(fields, OPEN)


def _held_since(platform: Platform, event: Event) -> str | None:
    assert event.batch is not None
    held = [one for one in of_batch(platform.connection, event.batch, ["held"]) if one.id < event.id]
    return _time(held[-1].at) if held else None


def _time(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}".strip()
