"""The files of a project as pydantic models: one declaration gives the check, the JSON Schema and the docs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from assay.errors import Misconfigured, nearest
from assay.zones.gate import SPAN_PATTERN, WORDS, Gate, Steward, span
from assay.zones.limits import SIZE_PATTERN, Limits, size_bytes
from assay.zones.masks import Mask
from assay.zones.schedule import check_schedule
from assay.zones.yaml import Document

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
_REFERENCE = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}|file:.+|aws-sm:.+"
#: Where a secret is kept; it never stands in a file of the project itself.
Secret = Annotated[str, StringConstraints(pattern=f"^({_REFERENCE})$")]
#: An address on the web without a name or a password in it, or where one is kept.
Url = Annotated[str, StringConstraints(pattern=rf"^(https?://[^/@\s]+(/\S*)?|{_REFERENCE})$")]


#: Names in `to` that stand for people.
ROLES = ("steward", "owner", "deliverer", "subscriber")
#: A length of time as PostgreSQL reads it, which knows how long a month is.
Duration = Annotated[str, StringConstraints(pattern=r"^[0-9]+ (hour|day|week|month|year)s?$")]


class Strict(BaseModel):
    """Frozen, and no key that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


ZoneRole = Literal["owner", "steward", "engineer", "analyst", "auditor"]
PlatformRole = Literal["administrator", "auditor"]


class OidcFile(Strict):
    """A provider of single sign-on, and what its tokens say."""

    issuer: str = Field(
        description="The provider's address, under which its discovery document stands.",
        pattern=r"^(https://|http://(localhost|127\.0\.0\.1)([:/]|$))",
    )
    client_id: str = Field(description="The name by which the provider knows assay.")
    client_secret: Secret | None = Field(
        None,
        description="A reference to the secret, where the provider asks for one: ${NAME}, file:/path or aws-sm:name.",
    )
    scopes: list[str] = Field(["openid", "email", "profile"], description="What is asked of the provider.")
    user_claim: str = Field("email", description="The claim that is the user's name in zone.yaml.")
    groups_claim: str = Field("groups", description="The claim that lists the user's groups.")
    session_hours: float = Field(8, description="How long a login lasts.", gt=0, le=24 * 30)


class LineageFile(Strict):
    """Where OpenLineage events go: to a file, or to a receiver on the web."""

    file: str | None = Field(None, description="A file of JSON lines that grows, relative to the project.")
    url: Url | None = Field(None, description="Where each event is posted, such as https://HOST/api/v1/lineage.")
    token: Secret | None = Field(
        None, description="Where the receiver's bearer token is kept: ${NAME}, file:/path or aws-sm:name."
    )
    namespace: str | None = Field(
        None, description="The namespace of jobs and datasets; default assay://<platform>/<target>.", min_length=1
    )

    @model_validator(mode="after")
    def _one_of(self) -> LineageFile:
        if (self.file is None) == (self.url is None):
            raise ValueError("`file` or `url`, one of the two")
        if self.token is not None and self.url is None:
            raise ValueError("`token` belongs to `url`")
        return self


class MailFile(Strict):
    """The mail server that notifications go through."""

    host: str = Field(description="The mail server.", min_length=1)
    port: int = Field(587, description="Its port.", ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="starttls and tls check the server's certificate; none is for a server close by."
    )
    user: str | None = Field(None, description="The name to log in with; none where the server asks for none.")
    password: Secret | None = Field(
        None, description="Where the password is kept: ${NAME}, file:/path or aws-sm:name."
    )
    sender: str = Field(alias="from", description="The address that mails come from.", pattern=r"^[^@\s]+@[^@\s]+$")
    domain: str | None = Field(
        None, description="What makes an address of a user's name: anna becomes anna@<domain>.", pattern=r"^[^@\s]+$"
    )

    @model_validator(mode="after")
    def _both(self) -> MailFile:
        if (self.user is None) != (self.password is None):
            raise ValueError("`user` and `password` belong together")
        return self


class TelemetryFile(Strict):
    """Where OpenTelemetry traces and metrics go; the OTEL_ variables of the environment say it as well."""

    endpoint: Url = Field(description="The collector's OTLP address over HTTP, such as http://HOST:4318.")


class TargetFile(Strict):
    """Where a platform runs."""

    data: str = Field(".assay", description="The folder of the stores, relative to the project.")
    postgres: str = Field(
        "embedded",
        description="`embedded`, a PostgreSQL URL, or where one is kept: ${NAME}, file:/path or aws-sm:name.",
    )
    keys: str | None = Field(
        None, description="The folder of the platform's keys, relative to the project; default: <data>.keys."
    )
    memory_limit: str = Field("1GB", description="The engine's memory.", pattern=r"^[0-9]+(\.[0-9]+)? ?[KMGT]i?B$")
    watch: Literal["auto", "poll"] = Field(
        "auto",
        description="How the service notices files: auto listens to the file system where it tells of changes and "
        "looks again and again where it does not; poll always looks.",
    )
    identity: Literal["local", "accounts", "oidc"] = Field(
        "local",
        description="Who a user is: what the operating system says, an account with a password, or single sign-on.",
    )
    oidc: OidcFile | None = Field(None, description="Single sign-on with OpenID Connect.")
    lineage: LineageFile | None = Field(None, description="Where OpenLineage events go; nowhere when left out.")
    mail: MailFile | None = Field(None, description="The mail server that notifications go through.")
    telemetry: TelemetryFile | None = Field(None, description="Where OpenTelemetry traces and metrics go.")

    @model_validator(mode="after")
    def _oidc_fits(self) -> TargetFile:
        if (self.identity == "oidc") != (self.oidc is not None):
            raise ValueError("`oidc` belongs to identity oidc, which needs it")
        return self


class GroupFile(Strict):
    """What the members of a group of the single sign-on may be."""

    zones: dict[Name, list[ZoneRole]] = Field({}, description="Their roles in zones.")
    platform: list[PlatformRole] = Field([], description="Their roles on the platform: administrator, auditor.")


Notable = Literal[
    "rejected", "held", "released", "done", "failed", "late", "reminded", "escalated", "withdrawn",
    "requested", "granted", "refused", "revoked", "expired", "broken", "ended", "cancelled",
]  # fmt: skip


class NotifyFile(Strict):
    """Who is told of what, by mail or at an address on the web."""

    on: list[Notable] = Field(description="What is told.", min_length=1)
    pipelines: list[Name] = Field([], description="Of which pipelines; of all, and of subscriptions, when left out.")
    to: list[str] = Field(
        [],
        description="Mail addresses, or `steward`, `owner`, `deliverer`, `subscriber`: whoever that is at the time.",
    )
    webhook: Url | None = Field(
        None,
        description="Where a message is posted as JSON; ${NAME}, file:/path or aws-sm:name where that is a secret.",
    )
    template: str | None = Field(
        None, description="A Jinja2 template beside this file for the mail's text, or the JSON that is posted."
    )

    @model_validator(mode="after")
    def _somebody(self) -> NotifyFile:
        if bool(self.to) == (self.webhook is not None):
            raise ValueError("`to` or `webhook`, one of the two")
        for name in self.to:
            if name not in ROLES and not re.fullmatch(r"[^@\s]+@[^@\s]+", name):
                raise ValueError(f"{name} is neither an address nor one of {', '.join(ROLES)}")
        return self


class MaintainFile(Strict):
    """Housekeeping: what `assay maintain` does, and when it runs by itself."""

    cron: str | None = Field(
        default=None,
        description="When the service does it: minute, hour, day of the month, month, day of the week, such as "
        "`30 3 * * *`; never by itself when left out.",
    )
    timezone: str | None = Field(default=None, description="The time zone of `cron`, such as Europe/Oslo; default UTC.")
    file_size: str = Field(
        default="32MB", description="Smaller files of the lake are put together up to this size.", pattern=SIZE_PATTERN
    )
    grace: Duration = Field(
        default="24 hours", description="How long a file that nothing needs any more stays all the same."
    )
    events: Duration | None = Field(default="90 days", description="How long events stay that all readers have passed.")

    @model_validator(mode="after")
    def _schedule_fits(self) -> MaintainFile:
        if self.cron is not None:
            check_schedule(self.cron, self.timezone)
        return self


class RetentionFile(Strict):
    """How long stores keep what came to rest; what is left out stays for good."""

    landing: Duration | None = Field(default=None, description="Delivered files, from their delivery.")
    readable: Duration | None = Field(default=None, description="Readable rows, since their batch came to rest.")
    clean: Duration | None = Field(default=None, description="Clean rows, since their batch came to rest.")
    quarantine: Duration | None = Field(default=None, description="Rows set aside, since their batch came to rest.")
    findings: Duration | None = Field(
        default=None, description="The cells that findings show, since their batch came to rest; the findings stay."
    )
    snapshots: Duration = Field(
        default="7 days", description="Earlier states of the lake's tables; never more than the latest 25."
    )

    def but(self, own: RetentionFile) -> RetentionFile:
        """These rules with those in their place that a narrower file gives."""
        return self.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})


class PlatformFile(Strict):
    """assay.yaml"""

    name: Name = Field(description="The platform's name.")
    title: str | None = Field(None, description="The name that people read.")
    administrators: list[str] = Field([], description="Who runs the platform; they see no data.")
    auditors: list[str] = Field([], description="Who audits every zone; they see no data.")
    groups: dict[str, GroupFile] = Field({}, description="Groups of the single sign-on, and the roles that they give.")
    default_target: str = Field("local", description="The target that is used when none is named.")
    targets: dict[Name, TargetFile] = Field(description="The places where the project can run.", min_length=1)
    notify: list[NotifyFile] = Field([], description="Who is told of what happens in any zone.")
    maintain: MaintainFile = Field(default=MaintainFile(), description="Housekeeping.")


class AutoApproveFile(Strict):
    """Requests that are granted at once, without anybody deciding."""

    classification: Literal["public", "internal", "confidential"] | None = Field(
        None, description="Grants where every offered column is of this class or a narrower one, and none is personal."
    )
    zones: list[Name] = Field([], description="Grants what these zones ask for.")

    @model_validator(mode="after")
    def _something(self) -> AutoApproveFile:
        if self.classification is None and not self.zones:
            raise ValueError("`classification` or `zones`, or both")
        return self


class PublicationFile(Strict):
    """What a zone offers to others."""

    dataset: str = Field(
        description="operational.<table> or analytical.<table>.",
        pattern=r"^(operational|analytical)\.[a-z][a-z0-9_]*$",
    )
    title: str | None = Field(None, description="The name that people read.")
    description: str | None = Field(None, description="What it means.")
    columns: list[str] | None = Field(None, description="The columns offered; all when left out.")
    contract: str | None = Field(
        None,
        description="A contract of its own, relative to the zone's folder; else the table's, as far as `columns` go.",
    )
    rows: str | None = Field(
        None, description="A condition over the table's own columns; only rows that keep it are offered.", min_length=1
    )
    masks: dict[Name, Mask] = Field({}, description="Columns that are offered masked: partial, hash, redact or null.")
    consumers: list[Name] | None = Field(None, description="The zones that may ask for it; any when left out.")
    auto_approve: AutoApproveFile | None = Field(None, description="Whose requests are granted at once.")

    @model_validator(mode="after")
    def _one_of(self) -> PublicationFile:
        if self.columns is not None and self.contract is not None:
            raise ValueError("`columns` or `contract`, one of the two")
        return self


class SubscriptionFile(Strict):
    """What a zone asks of another."""

    publication: str = Field(description="<zone>.<publication>.", pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")
    purpose: str = Field(description="What for.")


class AccessFile(Strict):
    """What a role is shown of a dataset that it reads."""

    role: ZoneRole = Field(description="The role.")
    dataset: str = Field(
        description="<store>.<table>; the stores are readable, staging, quarantine, operational and analytical.",
        pattern=r"^(readable|staging|quarantine|operational|analytical)\.[a-z][a-z0-9_]*$",
    )
    rows: str | None = Field(
        None, description="A condition in SQL over the table's columns; rows that do not keep it are not shown."
    )
    masks: dict[str, Mask] = Field(
        {}, description="Columns whose cells are masked: partial, hash, redact or null."
    )

    @field_validator("masks", mode="before")
    @classmethod
    def _null_is_a_word(cls, value: Any) -> Any:
        """`null` without quotes is nothing in YAML, and here the name of a mask."""
        return {k: v if v is not None else "null" for k, v in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _says_something(self) -> AccessFile:
        if self.rows is None and not self.masks:
            raise ValueError("`rows` or `masks`, or both")
        return self


class ZoneFile(Strict):
    """zone.yaml"""

    title: str = Field(description="The name that people read.")
    description: str | None = Field(None, description="What the zone is for.")
    owner: str = Field(description="Who answers for the zone.")
    stewards: list[str] = Field([], description="Who decides on held batches.")
    engineers: list[str] = Field([], description="Who changes the zone's files.")
    analysts: list[str] = Field([], description="Who reads the zone's data.")
    concurrency: int | None = Field(
        None, description="How many of the zone's batches may be in work at a time; no limit when left out.", ge=1
    )
    auditors: list[str] = Field([], description="Who sees what was done and decided, and no data.")
    publications: dict[Name, PublicationFile] = Field({}, description="What the zone offers.")
    subscriptions: list[SubscriptionFile] = Field([], description="What the zone uses of others.")
    access: list[AccessFile] = Field([], description="Rows and cells that a role is not shown, or shown masked.")
    notify: list[NotifyFile] = Field([], description="Who is told of what happens in the zone.")
    retention: RetentionFile = Field(default=RetentionFile(), description="How long its stores keep what is there.")


class LoadFile(Strict):
    """How a source's rows meet those that are there."""

    mode: Literal["append", "replace", "upsert", "snapshot"] = Field(
        "append", description="append adds; replace replaces a period; upsert goes by key; snapshot is the whole."
    )
    by: list[Name] = Field([], description="The columns of the period that `replace` replaces.")

    @model_validator(mode="after")
    def _by_fits(self) -> LoadFile:
        if (self.mode == "replace") != bool(self.by):
            raise ValueError("`by` names the period of mode replace, and only of it")
        return self


class PeriodFile(Strict):
    """How the period of a file is found."""

    origin: Literal["file_name", "rows"] = Field(alias="from", description="file_name or rows.")
    pattern: str | None = Field(None, description="Regular expression on the file name; group 1 is the period.")
    sql: str | None = Field(None, description="One aggregate expression over the rows.")

    @model_validator(mode="after")
    def _one_of(self) -> PeriodFile:
        if self.origin == "file_name" and not self.pattern or self.origin == "rows" and not self.sql:
            raise ValueError("file_name needs `pattern`, rows needs `sql`")
        return self


class ReadingLimits(Strict):
    """What reading one file may cost; what costs more is rejected."""

    memory: str = Field(default="1GiB", description="The memory of the reading process.", pattern=SIZE_PATTERN)
    seconds: int = Field(default=300, description="The time of reading, on the clock and of the processor.", ge=1)
    unpacked: str = Field(default="2GiB", description="What an archive or a workbook unpacks to.", pattern=SIZE_PATTERN)
    ratio: float = Field(default=200.0, description="How many times larger than packed a large archive may be.", gt=1)

    def value(self) -> Limits:
        """The limits as the readers take them."""
        return Limits(size_bytes(self.memory), self.seconds, size_bytes(self.unpacked), self.ratio)


class FixedColumn(Strict):
    """A column of fixed-width text."""

    name: str = Field(description="The column's header.", min_length=1)
    start: int = Field(description="Its first character in a line, counted from 1.", ge=1)
    width: int = Field(description="Its number of characters.", ge=1)


class ReaderHints(Strict):
    """Hints for reading a file; what is left out is found, or does not apply.

    A contract may hold them too (customProperty `reader`); those of pipeline.yaml go first, key by key.
    """

    format: Literal["auto", "csv", "excel", "json", "jsonl", "parquet", "fixed"] = Field(
        default="auto", description="By the content when auto, and for text by the suffix; csv is any delimited text."
    )
    sheet: str | None = Field(
        default=None, description="The sheet's name, or a pattern such as `Card*` whose sheets become one table."
    )
    hidden_sheets: bool = Field(default=False, description="Whether hidden sheets are looked at too.")
    header_row: int | None = Field(default=None, description="The header's (last) row, counted from 1.", ge=1)
    header_rows: int = Field(
        default=1, description="How many rows a header may take; the upper one names groups of columns.", ge=1, le=3
    )
    encoding: str | None = Field(default=None, description="Such as utf-8, cp1252, utf-16.")
    delimiter: str | None = Field(default=None, description="The character between cells.", min_length=1, max_length=1)
    quote: str | None = Field(
        default=None, description="The quote character; empty where nothing is quoted.", max_length=1
    )
    skip: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="Rows whose first text matches one of these patterns are not data, such as subtotals.",
    )
    kept_when_filled: tuple[Name, ...] = Field(
        default=(), strict=False, description="Rows that fill all of these fields are data whatever `skip` matches."
    )
    footer: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="The first row whose first text matches one of these patterns ends the table.",
    )
    fill_down: tuple[Name, ...] = Field(
        default=(), strict=False, description="Fields whose empty cells repeat the value above."
    )
    group_rows: Name | None = Field(
        default=None, description="A row with a single filled cell names this field's value for the rows below."
    )
    member: str | None = Field(
        default=None, description="A pattern of file names in a zip archive; all that fit are parts of one table."
    )
    records: str | None = Field(
        default=None, description="Where in a JSON document the list of records is: data.items."
    )
    columns: tuple[FixedColumn, ...] = Field(
        default=(), strict=False, description="The columns of fixed-width text."
    )
    done_marker: str | None = Field(
        default=None,
        description="The suffix of a file that says its data file is complete, such as .done.",
        pattern=r"^\.",
    )
    limits: ReadingLimits = Field(default=ReadingLimits(), description="What reading one file may cost.")

    @model_validator(mode="after")
    def _columns_fit(self) -> ReaderHints:
        if self.format == "fixed" and not self.columns:
            raise ValueError("format fixed needs `columns`: a list of name, start and width")
        if self.columns and self.format not in ("fixed", "auto"):
            raise ValueError(f"`columns` belong to format fixed, not to {self.format}")
        return self


class ChecksFile(Strict):
    """What is looked for in the content of a file: each check holds the batch, warns, or is off."""

    duplicates: Literal["hold", "warn", "off"] = Field(
        default="hold", description="The same rows as an earlier batch, under another name or in other bytes."
    )
    outliers: Literal["hold", "warn", "off"] = Field(
        default="warn", description="Rows, sums, empty cells or categories far from those of earlier batches."
    )
    personal_data: Literal["hold", "warn", "off"] = Field(
        default="hold", description="Personal data in a column that is not classified for it."
    )
    batches: int = Field(default=12, description="How many earlier batches are looked at.", ge=3)
    at_least: int = Field(default=5, description="Fewer earlier batches than this are no history.", ge=3)


class SourceFile(Strict):
    """A stream of files of one kind."""

    files: list[str] = Field(description="Patterns of file names.", min_length=1)
    contract: str | None = Field(None, description="Default contracts/<source>.odcs.yaml.")
    load: LoadFile = Field(LoadFile(mode="append", by=[]), description="How rows meet those that are there.")
    period: PeriodFile | None = Field(None, description="How the period of a file is found.")
    reader: ReaderHints = Field(ReaderHints(), description="Hints for reading.")
    checks: ChecksFile = Field(ChecksFile(), description="What is looked for in the content.")


class TriggerFile(Strict):
    """What makes the service start a pipeline: a schedule, another pipeline, a publication, or files that arrive."""

    cron: str | None = Field(
        None, description="A schedule: minute, hour, day of the month, month, day of the week, such as 0 6 * * 1-5."
    )
    timezone: str | None = Field(None, description="The schedule's time zone, such as Europe/Oslo; default UTC.")
    catch_up: Literal["last", "all", "none"] | None = Field(
        None,
        description="What becomes of times that passed while no service ran: last (the default) makes up for the "
        "last of them, all for each, none for none.",
    )
    after: str | None = Field(
        None,
        description="A pipeline of the same zone: this one starts when a batch of it is done.",
        pattern=r"^([a-z][a-z0-9_]*\.)?[a-z][a-z0-9_]*$",
    )
    after_publication: str | None = Field(
        None,
        description="A publication that the zone subscribes to, <zone>.<publication>: this pipeline starts when its "
        "rows changed.",
        pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$",
    )
    arrival: bool | None = Field(
        None, description="Whether the ingress folder is watched; true unless it is set to false."
    )

    @model_validator(mode="after")
    def _one_of(self) -> TriggerFile:
        given = [name for name in ("cron", "after", "after_publication", "arrival") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("a trigger is one of cron, after, after_publication, arrival")
        if self.cron is None and (self.timezone is not None or self.catch_up is not None):
            raise ValueError("timezone and catch_up belong to cron")
        if self.cron is not None:
            check_schedule(self.cron, self.timezone)
        return self

class GateFile(Strict):
    """The steward's gate: when a person must look, who may, and who is told when."""

    default: Steward = Field(default="never", description="When a steward must look at a batch, whatever was found.")
    kinds: dict[str, Steward] = Field(
        default={}, description="The same by the kind of a finding or the name of a rule; it goes before the default."
    )
    four_eyes: bool = Field(default=True, description="Whoever delivered a batch does not decide on it.")
    remind_after: str | None = Field(
        default=None, description="How long a batch waits until, and between, reminders: 2 days.", pattern=SPAN_PATTERN
    )
    escalate_after: str | None = Field(
        default=None, description="How long a batch waits until others are told: 5 days.", pattern=SPAN_PATTERN
    )
    escalate_to: list[str] = Field(default=[], description="Who is told then; the owner of the zone when left out.")

    @model_validator(mode="after")
    def _escalation_fits(self) -> GateFile:
        if self.escalate_to and self.escalate_after is None:
            raise ValueError("`escalate_to` needs `escalate_after`: from when on they are told")
        return self

    def value(self) -> Gate:
        """The gate as the pipeline takes it."""
        return Gate(
            self.default,
            dict(self.kinds),
            self.four_eyes,
            None if self.remind_after is None else span(self.remind_after),
            None if self.escalate_after is None else span(self.escalate_after),
            tuple(self.escalate_to),
        )


def _or_a_word(schema: dict[str, Any]) -> None:
    """JSON Schema: the mapping, or one of the words in its place."""
    schema["anyOf"] = [{"enum": list(WORDS)}, {"$ref": schema.pop("$ref")}]
    schema["default"] = "never"


class PipelineFile(Strict):
    """pipeline.yaml"""

    title: str = Field(description="The name that people read.")
    description: str | None = Field(None, description="What the pipeline does.")
    steward: GateFile = Field(
        GateFile(), description="When a steward must look: one word, or a mapping.", json_schema_extra=_or_a_word
    )
    ingress: str | None = Field(None, description="The folder where files arrive; default ingress/<zone>/<pipeline>.")
    precedence: list[Name] = Field([], description="Sources, the most trusted first.")
    triggers: list[TriggerFile] = Field(
        [], description="What makes the service start the pipeline; files that arrive do, unless it says otherwise."
    )
    retention: RetentionFile = Field(
        default=RetentionFile(), description="How long its stores keep what is there, where that is not as in the zone."
    )
    sources: dict[Name, SourceFile] = Field(description="The files that the pipeline expects.", min_length=1)

    @field_validator("steward", mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in WORDS:
                raise ValueError("a gate is one of " + ", ".join(WORDS) + ", or a mapping")
            return {"default": value}
        return value


Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], document: Document) -> Model:
    """The document as a value of `model`, or `Misconfigured` with every problem, its line and the nearest key."""
    value = {} if document.value is None else document.value
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = [_problem(model, document, detail) for detail in error.errors()[:20]]
    if len(problems) == 1:
        raise problems[0]
    raise Misconfigured(f"{len(problems)} problems", file=document.path, problems=problems)


def checked_part(model: type[Model], value: Any, path: Path, line: int | None, name: str) -> Model:
    """A part of a document as a value of `model`, or `Misconfigured` with the place of the part."""
    document = Document(path, value, {(): line or 1})
    try:
        return checked(model, document)
    except Misconfigured as error:
        raise Misconfigured(f"{name}: {error.what}", file=path, line=line, expected=error.expected) from error


def _problem(model: type[BaseModel], document: Document, detail: Any) -> Misconfigured:
    place = tuple(part for part in detail["loc"] if part != "[key]")
    line = document.line(*place)
    name = ".".join(str(part) for part in place)
    if detail["type"] == "extra_forbidden":
        known = _known(model, place[:-1])
        near = nearest(str(place[-1]), known)
        return Misconfigured(
            f"unknown key {name}",
            file=document.path,
            line=line,
            expected=f"{near}?" if near else "one of: " + ", ".join(sorted(known)),
        )
    if detail["type"] == "missing":
        return Misconfigured(f"the key {name} is missing", file=document.path, line=line, expected=str(place[-1]))
    found = detail.get("input")
    shown = f" (found {found!r})" if isinstance(found, str | int | float | bool) else ""
    return Misconfigured(f"{name}: {detail['msg']}{shown}", file=document.path, line=line)


def _known(model: Any, place: tuple[Any, ...]) -> list[str]:
    """The keys that the model at a place knows."""
    schema = model.model_json_schema(by_alias=True)
    here = schema
    for part in place:
        here = _resolved(schema, here)
        if "properties" in here and part in here["properties"]:
            here = here["properties"][part]
        elif isinstance(here.get("items"), dict):
            here = here["items"]
        elif isinstance(here.get("additionalProperties"), dict):
            here = here["additionalProperties"]
        elif isinstance(here.get("patternProperties"), dict):
            here = next(iter(here["patternProperties"].values()))
        else:
            return []
    return list(_resolved(schema, here).get("properties", {}))


def _resolved(schema: Any, here: Any) -> Any:
    for option in here.get("anyOf", ()):
        if "$ref" in option:
            here = option
    if "allOf" in here:
        here = here["allOf"][0]
    while "$ref" in here:
        here = schema["$defs"][here["$ref"].rsplit("/", 1)[1]]
    return here
