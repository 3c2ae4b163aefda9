"""Questions of one user: permission, what he sees, the record of it, and the answer.

`assay.connect()` opens a connection; each question goes through the same steps: the first lock reads it, each table
that it names becomes what the user sees of it or the question ends, the decision goes on the audit chain, and the
process that runs the question is handed that and nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.catalog.records import held_batches
from assay.engines.duckdb import Engine
from assay.engines.duckdb import connect as engine_connect
from assay.engines.narrowing import Alternatives
from assay.engines.sql import Parts
from assay.engines.sql.gate import Place, Question, WrittenTable, question
from assay.errors import AssayError, NotFound, Usage
from assay.pipelines.platform import Platform, opened
from assay.security.mask_keys import mask_key
from assay.security.principals import User
from assay.security.resources import PUBLISHED
from assay.serving.answer import Answer
from assay.serving.listing import at_once, columns, listed
from assay.serving.names import Names, described, lists_tables
from assay.serving.process import Limits, Process, TooNarrow
from assay.serving.relations import Preparation, Relation
from assay.serving.sight import Sight
from assay.stores.database import as_they_lie, transaction
from assay.stores.iceberg import Iceberg, current_pointer
from assay.stores.lake import LakeTable
from assay.stores.lake_use import in_use
from assay.stores.objects import remove_folder
from assay.stores.scratch import private_folder
from assay.zones.limits import size_bytes

if TYPE_CHECKING:
    from assay.zones.project import Project

#: How long a question may take, and how many threads it has.
SECONDS = 60.0
THREADS = 2

Seen = list[tuple[Parts, Sight]]


@contextmanager
def connect(
    project: str | Path = ".", *, user: str | None = None, token: str | None = None, target: str | None = None
) -> Iterator[Connection]:
    """Opens a connection to a platform's data, for a user.

    `project` is its folder or one below. Where the target's identity is `local`, `user` is the name to act under, by
    default that of the operating system; else `token` says who asks, by default that of the last login.
    Raises `Usage` where a user is named that has to log in, `Denied` without a valid token.
    """
    from assay.zones.project import find_root, load_project

    loaded = load_project(find_root(Path(project).resolve()), target)
    who = named(loaded, user, token)
    with opened(loaded, user=who, token=token) as platform, Connection(platform) as connection:
        yield connection


def named(project: Project, user: str | None, token: str | None = None) -> User | None:
    """The user who was named; None for whoever the target's identity says."""
    if project.target.identity == "local":
        if token is not None:
            raise Usage("there are no tokens where identity is local", expected="a user")
        return None if user is None else User(user)
    if user is not None:
        raise Usage(
            f"nobody acts as another user on target {project.target.name}", expected="a login or a token of that user",
            next="assay login",
        )  # fmt: skip
    return None


class Connection:
    """Questions of the user of a platform, one after the other."""

    def __init__(self, platform: Platform, *, seconds: float = SECONDS) -> None:
        self._platform = platform
        self._seconds = seconds
        self._stack = ExitStack()
        self._folder: Path | None = None
        self._engine: Engine | None = None
        self._attached: set[str] = set()
        self._idle: list[Process] = []
        self._files: dict[tuple[str, str], tuple[str, list[str]]] = {}
        memory = platform.project.target.memory_limit
        self._limits = Limits(seconds, memory, size_bytes(memory), THREADS)

    def __enter__(self) -> Connection:
        self.warm()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._idle:
            process.end()
        self._idle.clear()
        self._stack.close()

    def warm(self) -> None:
        """Starts the process of the next question, which gets ready while something else is done."""
        if not self._idle:
            self._idle.append(self._started())

    def sql(self, statement: str, *, zone: str | None = None, bytes_most: int | None = None) -> Answer:
        """Asks one SELECT over the tables that the user may read, or DESCRIBE one of them, or SHOW TABLES.

        `zone` says which zone's tables are meant, where several have one of the name; an answer of more than
        `bytes_most` is ended. Raises `Usage` for a statement that is refused or does not run, `Denied` for a table
        that is not there or not for him, `Unavailable` for a question that costs too much.
        """
        project, world = self._platform.in_force.now()
        names = Names(project, world, self._platform.user, zone)
        if lists_tables(statement):
            return at_once(listed(names))
        parts = described(statement)
        if parts is not None:
            table = WrittenTable(parts, Place(1, statement.lower().index(parts[0]) + 1))
            ((_, sight),) = self._resolved(names, [table])
            return at_once(columns(sight))
        asked = question(statement)
        seen = self._resolved(names, asked.tables)
        return self._answered(asked, seen, bytes_most)

    def _resolved(self, names: Names, tables: list[WrittenTable] | tuple[WrittenTable, ...]) -> Seen:
        """What the user sees of each table; every decision is on the audit chain before anything comes of it."""
        places = [(table, *names.place(table.parts)) for table in tables]
        with transaction(self._platform.connection) as tx:
            for table, zone, sight in places:
                self._record(tx, table, zone, sight)
        refused = next((table for table, _, sight in places if sight is None), None)
        if refused is not None:
            raise names.refusal(refused)
        return [(table.parts, sight) for table, _, sight in places if sight is not None]

    def _record(self, tx: Any, table: WrittenTable, zone: str | None, sight: Sight | None) -> None:
        if sight is None:
            self._platform.record(tx, "read", str(table), zone=zone, outcome="deny", door="sql")
            return
        self._platform.record(
            tx, "read", str(sight.resource), zone=sight.zone.name, outcome="allow",
            door="sql", masked=list(sight.masked), filtered=sight.filtered,
        )  # fmt: skip

    def _answered(self, asked: Question, seen: Seen, bytes_most: int | None) -> Answer:
        import pyarrow as pa

        with ExitStack() as until_answered:
            until_answered.enter_context(in_use(self._platform.connection))
            process = self._idle.pop() if self._idle else self._started()
            until_answered.callback(self._back, process)
            until_answered.callback(remove_folder, process.folder)
            narrowed = [(parts, sight.of(asked.uses)) for parts, sight in seen]
            relations = self._relations(narrowed, process, asked.narrowing)
            try:
                try:
                    types = process.ask(asked.text, relations, self._seconds)
                except TooNarrow:  # the parsers differ in which rows of a table are used: all of them, then
                    relations = self._relations(narrowed, process, {})
                    types = process.ask(asked.text, relations, self._seconds)
                pieces = _Pieces(process, asked.text)
                reader = pa.ipc.open_stream(io.BufferedReader(pieces))
            except BaseException as error:
                if not isinstance(error, Usage):  # after a question that did not run, it takes the next one
                    process.end()
                raise
            ending = until_answered.pop_all()

        def done(complete: bool) -> None:
            with ending:
                if complete:
                    pieces.finish()
                else:
                    process.end()

        masked = tuple(f"{'.'.join(parts)}.{one}" for parts, sight in narrowed for one in sight.masked)
        filtered = tuple(".".join(parts) for parts, sight in narrowed if sight.filtered and sight.store != PUBLISHED)
        return Answer(reader, types, done, masked, filtered, bytes_most)

    def _relations(self, seen: Seen, process: Process, narrowing: Mapping[Parts, Alternatives]) -> list[Relation]:
        with transaction(self._platform.connection) as tx, self._anew_after_failure():
            return self._preparation(tx).relations(seen, process.folder, narrowing)

    def _back(self, process: Process) -> None:
        if process.alive:
            self._idle.append(process)

    def _started(self) -> Process:
        return Process(self._scratch(), self._limits)

    def _scratch(self) -> Path:
        """The folder where engines spill, as long as the connection is open."""
        if self._folder is None:
            self._folder = self._stack.enter_context(private_folder(self._platform.data / "scratch"))
        return self._folder

    def _preparation(self, tx: Any) -> Preparation:
        target = self._platform.project.target
        return Preparation(
            self._preparing,
            self._postgres,
            lambda table: self._current_files(tx, table),
            lambda zone: mask_key(target.data, target.keys, zone),
            lambda zone: held_batches(tx, zone),
        )

    def _preparing(self) -> Engine:
        """The engine that prepares: it knows PostgreSQL and every file, and never meets a question."""
        if self._engine is None:
            limit = self._platform.project.target.memory_limit
            self._engine = self._stack.enter_context(engine_connect(self._scratch(), memory_limit=limit, postgres=True))
        return self._engine

    @contextmanager
    def _anew_after_failure(self) -> Iterator[None]:
        """An engine that failed may hold a connection that is gone: the next question gets another one."""
        try:
            yield
        except AssayError:
            self._engine = None
            self._attached.clear()
            raise

    def _postgres(self, zone: str) -> str:
        """The name by which the preparing engine knows PostgreSQL with the rights of a reader of the zone.

        Rows come in the order in which they lie, whether all of a table are fetched or some.
        """
        name = f"rows of {zone}"
        if zone not in self._attached:
            self._preparing().attach_postgres(as_they_lie(self._platform.reader_url(zone)), name)
            self._attached.add(zone)
        return name

    def _current_files(self, tx: Any, table: LakeTable) -> list[str]:
        """The files of a table; they are asked for again when its pointer has moved."""
        place = (table.namespace, table.name)
        pointer = current_pointer(tx, *place)
        if pointer is None:
            raise NotFound(
                f"{table.namespace}.{table.name} has not been made yet", next="assay apply, then the same command again"
            )
        known = self._files.get(place)
        if known is None or known[0] != pointer:
            known = pointer, Iceberg(tx, self._platform.data).files(*place)
            self._files[place] = known
        return known[1]


class _Pieces(io.RawIOBase):
    """The Arrow stream of an answer as a file that can be read forwards."""

    def __init__(self, process: Process, statement: str) -> None:
        self._process = process
        self._statement = statement
        self._rest = memoryview(b"")
        self._over = False

    def finish(self) -> None:
        """Hears what comes behind the stream, so that the process is ready for the next question."""
        while not self._over:
            self._over = not self._process.piece(self._statement)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest and not self._over:
            piece = self._process.piece(self._statement)
            self._rest, self._over = memoryview(piece), not piece
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
