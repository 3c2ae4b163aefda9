"""OpenLineage events: what they say, that they fit the published schemas, and that each arrives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from servers import Posted, receiver

from assay.catalog import events
from assay.errors import Unavailable
from assay.pipelines import movement
from assay.pipelines.landing import pipeline_of
from assay.pipelines.plan import apply
from assay.pipelines.platform import Platform
from assay.pipelines.run import Result, ingest
from assay.pipelines.telling.tell import tell
from shop_project import TILL, Shop

SPEC = Path(__file__).parents[4] / "shared" / "data" / "conformance" / "openlineage_spec"
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "openlineage-batch.json"
pytestmark = pytest.mark.skipif(not SPEC.is_dir(), reason="the shared data folder is missing")

NAMESPACE = "assay://shop/local"


def setting(shop: Shop, words: str) -> None:
    shop.edit("assay.yaml", "{data: data,", f"{{data: data, lineage: {words},")


def take_in(shop: Shop, text: str = TILL, name: str = "till-9.csv") -> Result:
    (shop.root / name).write_text(text)
    with shop.opened() as platform:
        apply(platform)
        return ingest(platform, pipeline_of(platform, "shop", "sales"), [shop.root / name], None)[0]


def lines(shop: Shop) -> list[dict[str, Any]]:
    path = shop.root / "out" / "lineage.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def brief(documents: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["job"]["name"].removeprefix("shop.sales").lstrip("."), one["eventType"]) for one in documents]


@pytest.fixture
def filing(shop: Shop) -> Shop:
    """A shop whose lineage goes to a file."""
    setting(shop, "{file: out/lineage.jsonl}")
    return shop


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    """The published schemas by address, with that of the facet of our own."""
    found = [json.loads(path.read_text()) for path in (SPEC / "OpenLineage.json", PAGE)]
    found += [json.loads(path.read_text()) for path in (SPEC / "facets").glob("*.json")]
    return {one["$id"]: one for one in found}


def check(document: dict[str, Any], schemas: dict[str, Any]) -> None:
    """The document fits the schema of events, and each of its facets the one that it names."""
    registry = Registry().with_resources((name, Resource.from_contents(one)) for name, one in schemas.items())

    def fits(value: Any, url: str) -> None:
        Draft202012Validator({"$ref": url}, registry=registry, format_checker=FormatChecker()).validate(value)

    fits(document, document["schemaURL"])
    parts = [document["run"], document["job"], *document["inputs"], *document["outputs"]]
    facets = [
        facet
        for part in parts
        for key in ("facets", "inputFacets", "outputFacets")
        for facet in part.get(key, {}).values()
    ]
    assert facets
    for facet in facets:
        fits(facet, facet["_schemaURL"])


def test_a_batch_is_a_run_with_a_run_for_each_segment_below_it(filing: Shop) -> None:
    take_in(filing)
    told = lines(filing)
    assert brief(told) == [
        ("", "START"), ("land", "START"), ("land", "COMPLETE"), ("approve", "START"), ("approve", "COMPLETE"),
        ("clean", "START"), ("clean", "COMPLETE"), ("", "RUNNING"), ("conform", "START"), ("conform", "COMPLETE"),
        ("denormalize", "START"), ("denormalize", "COMPLETE"), ("", "COMPLETE"),
    ]  # fmt: skip
    whole = {one["run"]["runId"] for one in told if one["job"]["name"] == "shop.sales"}
    parents = {one["run"]["facets"]["parent"]["run"]["runId"] for one in told if "parent" in one["run"]["facets"]}
    assert len(whole) == 1 and whole == parents
    states = [one["run"]["facets"]["assay_batch"]["state"] for one in told]
    assert states[2:] == [
        "landed", "landed", "readable", "readable", "clean", "released", "released", "conformed", "conformed",
        "done", "done",
    ]  # fmt: skip


@pytest.mark.parametrize("text", [TILL, TILL.replace("2.50", "much")], ids=["accepted", "rejected"])
def test_every_document_fits_the_published_schemas(filing: Shop, schemas: dict[str, Any], text: str) -> None:
    take_in(filing, text)
    told = lines(filing)
    assert len(told) > 5
    for document in told:
        check(document, schemas)


def test_what_a_segment_reads_and_writes_is_named_with_its_columns(filing: Shop) -> None:
    take_in(filing)
    ends = {
        one["job"]["name"].rpartition(".")[2]: (
            [entry["name"] for entry in one["inputs"]], [entry["name"] for entry in one["outputs"]],
        )
        for one in lines(filing)
        if one["eventType"] == "COMPLETE" and one["job"]["name"] != "shop.sales"
    }  # fmt: skip
    assert ends == {
        "land": (["shop.ingress.till"], ["shop.landing.till"]),
        "approve": (["shop.landing.till"], ["shop.readable.till"]),
        "clean": (["shop.readable.till"], ["shop.clean.till"]),
        "conform": (["shop.clean.till"], ["shop.operational.goods", "shop.operational.sale"]),
        "denormalize": (["shop.operational.sale", "shop.operational.goods"], ["shop.analytical.by_month"]),
    }
    made = completed(filing, "denormalize")["outputs"][0]
    assert {one["name"]: one["type"] for one in made["facets"]["schema"]["fields"]} == {
        "month": "string", "goods": "string", "lines": "integer", "amount": "decimal(14,2)",
    }  # fmt: skip
    assert made["facets"]["version"]["datasetVersion"].startswith("shop.by_month 1.0.0 ")


def completed(shop: Shop, segment: str, kind: str = "COMPLETE") -> dict[str, Any]:
    return next(one for one in lines(shop) if one["job"]["name"].endswith(segment) and one["eventType"] == kind)


def test_each_column_leads_to_the_columns_behind_it_as_far_as_the_file(filing: Shop) -> None:
    take_in(filing)

    def behind(segment: str, number: int, column: str) -> list[tuple[str, str]]:
        fields = completed(filing, segment)["outputs"][number]["facets"]["columnLineage"]["fields"]
        return [(one["name"], one["field"]) for one in fields[column]["inputFields"]]

    assert behind("denormalize", 0, "amount") == [("shop.operational.sale", "amount")]
    assert behind("denormalize", 0, "goods") == [("shop.operational.goods", "code")]
    assert behind("conform", 1, "month") == [("shop.clean.till", "sold_on")]
    assert behind("clean", 0, "sold_on") == [("shop.readable.till", "sold_on")]
    assert behind("approve", 0, "sold_on") == [("shop.landing.till", "Sold on")]


def test_quality_is_told_of_what_came_and_rows_of_what_was_written(filing: Shop) -> None:
    take_in(filing)
    approve, clean = completed(filing, "approve"), completed(filing, "clean")
    (read,) = approve["inputs"]
    assert read["inputFacets"]["dataQualityMetrics"]["rowCount"] == 5
    assert read["inputFacets"]["dataQualityMetrics"]["columnMetrics"]["note"]["nullCount"] == 3
    assert read["inputFacets"]["dataQualityMetrics"]["columnMetrics"]["amount"]["sum"] == 9
    assert [one["success"] for one in read["inputFacets"]["dataQualityAssertions"]["assertions"]] == [True]
    (rule,) = clean["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert (rule["name"], rule["success"], rule["actual"]) == ("amount_not_zero", False, "1")
    assert clean["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 4


def test_a_sensitive_column_has_no_sum(filing: Shop) -> None:
    filing.edit(
        "contracts/till.odcs.yaml", "physicalType: 'decimal(12,2)', required: true",
        "physicalType: 'decimal(12,2)', required: true, classification: restricted",
    )  # fmt: skip
    take_in(filing)
    metrics = completed(filing, "approve")["inputs"][0]["inputFacets"]["dataQualityMetrics"]["columnMetrics"]
    assert "sum" not in metrics.get("amount", {})


def test_a_rejected_batch_fails_with_the_kinds_of_findings_and_no_output(filing: Shop) -> None:
    take_in(filing, TILL.replace("2.50", "Jane Doe"))
    told = lines(filing)
    assert brief(told)[-2:] == [("approve", "FAIL"), ("", "FAIL")]
    failed = told[-2]
    assert failed["outputs"] == []
    assert failed["run"]["facets"]["errorMessage"]["message"] == "rejected: type_mismatch (1)"
    (found, contract) = failed["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert (found["assertion"], found["column"], found["success"]) == ("type_mismatch", "amount", False)
    assert (contract["assertion"], contract["success"]) == ("contract", False)
    assert "Jane" not in json.dumps(told)


def test_a_failed_try_and_the_next_one_are_two_runs(filing: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, pytest.raises(Unavailable):
        patch.setattr(movement, "_prepare", failing)
        take_in(filing)
    with filing.opened() as platform:
        ingest(platform, pipeline_of(platform, "shop", "sales"), [filing.root / "till-9.csv"], None)
    told = [one for one in lines(filing) if one["job"]["name"].endswith(".approve")]
    assert [one["eventType"] for one in told] == ["START", "FAIL", "START", "COMPLETE"]
    first, _, second, _ = [one["run"]["runId"] for one in told]
    assert first != second


def failing(*_: object) -> None:
    raise Unavailable("the lake is away")


def test_a_try_whose_process_died_is_aborted_when_the_next_one_starts(
    filing: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(movement, "_prepare", die)
        take_in(filing)
    with filing.opened() as platform:
        ingest(platform, pipeline_of(platform, "shop", "sales"), [filing.root / "till-9.csv"], None)
    told = [one for one in lines(filing) if one["job"]["name"].endswith(".approve")]
    assert [one["eventType"] for one in told] == ["START", "ABORT", "START", "COMPLETE"]
    assert told[0]["run"]["runId"] == told[1]["run"]["runId"] != told[2]["run"]["runId"]


def test_a_refresh_without_a_try_is_a_run_of_its_own_each_time(filing: Shop) -> None:
    number = take_in(filing).batch.id
    with filing.opened() as platform:
        from assay.catalog import records

        for _ in range(2):
            batch = records.batch(platform.connection, number)
            events.add(platform.connection, "finished", batch=batch, segment="denormalize", body={"again": True})
        tell(platform)
    told = [(one["eventType"], one["run"]["runId"]) for one in lines(filing)[-4:]]
    assert [kind for kind, _ in told] == ["START", "COMPLETE"] * 2
    assert told[0][1] == told[1][1] != told[2][1] == told[3][1]


def test_a_reader_that_lost_its_place_tells_the_same_again(filing: Shop) -> None:
    take_in(filing)
    with filing.opened() as platform:
        platform.connection.execute("UPDATE assay.event_reader SET transaction = '0', id = 0")
        tell(platform)
    told = lines(filing)
    half = len(told) // 2
    assert told[:half] == told[half:]


def test_what_happened_under_an_earlier_configuration_is_told_with_its_columns(filing: Shop) -> None:
    take_in(filing)
    filing.edit("analytical/by_month.odcs.yaml", "name: lines", "name: rows")
    filing.edit("by_month.sql", "AS lines", "AS rows")
    with filing.opened() as platform:
        apply(platform, allowed_losses=frozenset({"drop column shop.analytical.by_month.lines"}))
        platform.connection.execute("UPDATE assay.event_reader SET transaction = '0', id = 0")
        tell(platform)
    told = [one for one in lines(filing) if one["job"]["name"].endswith("denormalize") and one["outputs"]]
    names = [{field["name"] for field in one["outputs"][0]["facets"]["schema"]["fields"]} for one in told]
    assert len(names) > 2 and all(name == {"month", "goods", "lines", "amount"} for name in names)


def test_the_file_is_its_owners_alone_and_a_torn_line_is_taken_away(filing: Shop) -> None:
    take_in(filing)
    path = filing.root / "out" / "lineage.jsonl"
    assert path.stat().st_mode & 0o777 == 0o600
    whole = path.read_text()
    path.write_text(whole + '{"eventType": "COMP')
    take_in(filing, TILL.replace("\n1,", "\n10,"), "till-10.csv")
    assert path.read_text().startswith(whole)
    assert len(lines(filing)) == 2 * len(whole.splitlines())


@pytest.fixture
def posting(shop: Shop, posted: Posted, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop whose lineage is posted, with a token."""
    monkeypatch.setenv("LINEAGE_TOKEN", "s3cret")
    setting(shop, f"{{url: '{posted.url}', token: '${{LINEAGE_TOKEN}}', namespace: ours}}")
    return shop


def test_documents_are_posted_in_order_with_the_token(posting: Shop, posted: Posted) -> None:
    take_in(posting)
    assert brief(posted.documents)[0] == ("", "START") and brief(posted.documents)[-1] == ("", "COMPLETE")
    assert {one["authorization"] for one in posted.headers} == {"Bearer s3cret"}
    assert {one["job"]["namespace"] for one in posted.documents} == {"ours"}


def now(platform: Platform) -> None:
    platform.connection.execute("UPDATE assay.event_reader SET retry_at = NULL")


def test_a_receiver_that_is_down_holds_nothing_up_and_gets_everything_later(posting: Shop, posted: Posted) -> None:
    posted.answer = 503
    assert take_in(posting).batch.state == "done"
    assert len(posted.headers) == 1, "after a failure there is a pause"
    with posting.opened() as platform:
        (stuck,) = events.stuck(platform.connection)
        assert (stuck.reader, stuck.failure) == ("openlineage", "the receiver answered 503")
        posted.answer = 200
        assert tell(platform) == 0, "not before its time"
        now(platform)
        assert tell(platform) == 13
        assert events.stuck(platform.connection) == []
        assert tell(platform) == 0
    assert len(posted.documents) == 13 and brief(posted.documents)[0] == ("", "START")


def test_a_document_that_is_refused_does_not_stop_those_behind_it(posting: Shop, posted: Posted) -> None:
    posted.answer = 422
    take_in(posting)
    assert len(posted.headers) == 13
    with posting.opened() as platform:
        assert events.stuck(platform.connection) == []


def test_a_token_that_is_not_set_is_told_and_holds_nothing_up(
    posting: Shop, posted: Posted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LINEAGE_TOKEN")
    assert take_in(posting).batch.state == "done"
    with posting.opened() as platform:
        (stuck,) = events.stuck(platform.connection)
        assert "LINEAGE_TOKEN is not set" in stuck.failure
    assert posted.headers == []


def test_a_redirect_does_not_carry_the_token_elsewhere(posting: Shop, posted: Posted) -> None:
    with receiver() as elsewhere:
        posted.answer, posted.elsewhere = 307, elsewhere.url
        take_in(posting)
        assert elsewhere.headers == []


def test_two_processes_do_not_tell_at_the_same_time(posting: Shop, posted: Posted) -> None:
    posted.answer = 503
    take_in(posting)
    posted.answer = 200
    with posting.opened() as first, posting.opened() as second:
        now(first)
        first.connection.execute("SELECT pg_advisory_lock(%s)", (key(),))
        assert tell(second) == 0
        first.connection.execute("SELECT pg_advisory_unlock(%s)", (key(),))
        assert tell(second) == 13


def key() -> int:
    from assay.stores.database import advisory_key

    return advisory_key("tell", "openlineage")


def test_a_platform_that_asks_for_nothing_keeps_no_reader(filing: Shop) -> None:
    take_in(filing)
    filing.edit("assay.yaml", "lineage: {file: out/lineage.jsonl},", "")
    with filing.opened() as platform:
        apply(platform)
        assert tell(platform) == 0
        assert platform.connection.execute("SELECT count(*) FROM assay.event_reader").fetchone() == (0,)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("{}", "`file` or `url`"),
        ("{file: a.jsonl, url: 'https://example.org/'}", "`file` or `url`"),
        ("{file: a.jsonl, token: '${T}'}", "`token` belongs to `url`"),
        ("{url: 'ftp://example.org/'}", "lineage.url"),
        ("{url: 'https://anna:secret@example.org/'}", "lineage.url"),
        ("{url: 'https://example.org/', token: plain}", "lineage.token"),
    ],
)
def test_a_setting_that_cannot_be_carried_out_is_refused(shop: Shop, words: str, told: str) -> None:
    from assay.errors import Misconfigured
    from assay.zones.project import load_project

    setting(shop, words)
    with pytest.raises(Misconfigured) as caught:
        load_project(shop.root)
    assert told in caught.value.what and caught.value.line is not None
