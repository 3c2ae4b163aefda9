"""A running platform: the project, its PostgreSQL and its data folder, opened together and closed together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import AssayError, NotFound, Unavailable
from assay.security import secrets
from assay.security.audit import Entry, Outcome, append
from assay.security.identity import current_user
from assay.security.principals import User
from assay.stores.database import Connection, connect, failures_as_ours, server
from assay.stores.lake_use import in_use
from assay.stores.objects import disk_failures_as_ours
from assay.stores.scratch import private_folder
from assay.zones.project import Project

if TYPE_CHECKING:
    from assay.batch import Batch
    from assay.pipelines.in_force import InForce
    from assay.security.keys import ZoneKeyring
    from assay.stores.landing import Landing


@dataclass(frozen=True)
class Platform:
    """What a command works with. `actor` is the name that records carry, `identified` what else is known of him."""

    project: Project
    url: str
    connection: Connection
    actor: str
    identified: User | None = None
    _recorded: list[int] = field(default_factory=list, repr=False, compare=False)
    _in_force: list[InForce] = field(default_factory=list, repr=False, compare=False)

    @property
    def user(self) -> User:
        """Who acts, as policies know him."""
        return self.identified or User(self.actor)

    @property
    def data(self) -> Path:
        """The target's data folder."""
        return self.project.target.data

    @cached_property
    def keys(self) -> ZoneKeyring:
        """The keys of the zones."""
        from assay.security.keys import keyring

        return keyring(self.data, self.project.target.keys)

    @property
    def in_force(self) -> InForce:
        """What decides who may do what: the configuration that was applied, and what is granted."""
        from assay.pipelines.in_force import InForce

        for one in self._in_force:
            if one.is_of(self.connection, self.project):
                return one
        made = InForce(self.connection, self.project)
        self._in_force[:] = [made, *self._in_force[:1]]
        return made

    @cached_property
    def landing(self) -> Landing:
        """The landing store."""
        from assay.stores.landing import Landing

        return Landing(self.data, self.keys)

    def reader_url(self, zone: str) -> str:
        """The URL under which the engine reads what a zone may read in PostgreSQL, and nothing else."""
        from assay.pipelines.walls import reader_url

        return reader_url(self.project, self.url, self.connection, zone)

    def landed(self, batch: Batch, scratch: Path) -> Path:
        """The delivered bytes of a batch, in the clear: a file in `scratch`, which is private and soon gone.

        Raises `NotFound` where they are past their retention, `Unavailable` or `Damaged`, which name the batch, where
        they cannot be had otherwise.
        """
        try:
            return self.landing.get(batch.zone, batch.sha256, scratch)
        except AssayError as error:
            self.check_landed(batch)
            error.what = f"{batch.label}: {error.what}"
            raise

    def check_landed(self, batch: Batch) -> None:
        """Raises `NotFound` for a batch whose delivered bytes are past their retention and gone."""
        from assay.catalog.upkeep import removals

        gone = next((one for one in removals(self.connection, [batch.id]) if one.store == "landing"), None)
        if gone is not None and not self.landing.has(batch.zone, batch.sha256):
            raise NotFound(
                f"the delivered file of batch {batch.id} was removed on {gone.removed_at:%Y-%m-%d}",
                where=f"{batch.zone}/{batch.pipeline}",
                expected=f"{batch.file_name}, SHA-256 {batch.sha256} ({gone.rule})",
                next="deliver the same file once more, then run the same command again",
            )

    @property
    def checkpoints(self) -> Path:
        """The file of the audit chain's checkpoints."""
        return self.data / "audit" / "checkpoints.jsonl"

    def record(
        self,
        tx: Connection,
        action: str,
        resource: str,
        *,
        zone: str | None = None,
        outcome: Outcome = "done",
        by: str | None = None,
        **detail: Any,
    ) -> None:
        """Puts what the actor does on the audit chain, as the last statement of the transaction that does it.

        `by` names somebody else who did it: a segment.
        """
        self._recorded.append(append(tx, Entry(by or self.actor, action, resource, outcome, zone, detail)))

    def vouch(self) -> None:
        """Signs the audit chain as far as it has come, when this process has added to it."""
        if self._recorded:
            from assay.security.checkpoints import vouch

            vouch(self.connection, self.checkpoints, self.project.target.keys)
            self._recorded.clear()

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder for intermediate files, gone afterwards, and those that killed processes left.

        As long as it is there, housekeeping removes no file of the stores that could be read or was prepared in it.
        """
        with private_folder(self.data / "scratch") as folder, in_use(self.connection):
            yield folder


@contextmanager
def opened(
    project: Project, *, migrated: bool = True, user: User | None = None, token: str | None = None
) -> Iterator[Platform]:
    """Starts what the target needs, connects, and brings the metadata tables up to date.

    `user` acts where it is given; else who the target's identity says, by `token` where one is given. Raises `Denied`
    where nobody is logged in.
    """
    from assay.catalog.migrate import HEAD, current, migrate

    _make_private(project.target.data)
    with server(postgres_of(project), project.target.data) as url:
        connection = connect(url, autocommit=True)
        try:
            with failures_as_ours(), disk_failures_as_ours():
                earlier = migrated and current(connection) != HEAD
                if earlier:
                    migrate(url)
                who = user or current_user(project, connection, token)
                platform = Platform(project, url, connection, who.name, who)
                if earlier:
                    from assay.pipelines.walls import mend

                    mend(platform.connection, platform.project)
                try:
                    yield platform
                except AssayError:
                    with suppress(AssayError):  # what went wrong first is what to say
                        platform.vouch()
                    raise
                platform.vouch()
        finally:
            connection.close()


def _make_private(folder: Path) -> None:
    """Makes the data folder, where delivered bytes and every store lie, its owner's alone."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"the data folder cannot be made: {error.strerror}",
            where=str(folder),
            next="make the folder yourself, or name another one as `data` of the target in assay.yaml",
        ) from error


def postgres_of(project: Project) -> str:
    """`embedded`, or the URL, from where it is kept."""
    written = project.target.postgres
    if not secrets.is_reference(written):
        if written != "embedded":
            secrets.remember(written)
        return written
    return secrets.resolve(written, what="a PostgreSQL URL")
