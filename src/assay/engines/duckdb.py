"""DuckDB, met only here: connections with limits, and its errors as ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from assay.errors import AssayError, Unavailable

#: How many rows a streamed result holds in memory at a time.
ROWS_PER_PAGE = 2048

#: How many rows an Arrow batch holds.
ROWS_PER_BATCH = 65_536

#: The engine's version: what it computes by rules of its own (hashes) compares only within one.
VERSION: str = duckdb.__version__


class EngineFailed(AssayError):
    """The engine could not run a statement; `what` is its own first line."""


def quoted(name: str) -> str:
    """An identifier, quoted for DuckDB and PostgreSQL alike."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | None) -> str:
    """A text literal, quoted for DuckDB and PostgreSQL alike."""
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def path_list(paths: list[str]) -> str:
    """File names as the list literal that `read_parquet` takes."""
    return "[" + ", ".join(literal(path) for path in paths) + "]"


def is_no_path(name: str) -> bool:
    """Whether the engine can never take a name for the path of a file."""
    return all(letter.isalnum() or letter in "_ $" for letter in name)


#: How typed rows are kept: level 1 of zstd costs as little time as no compression.
PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"


@contextmanager
def connect(
    scratch: Path, *, memory_limit: str = "1GB", threads: int | None = None, postgres: bool = False
) -> Iterator[Engine]:
    """An engine in memory that spills to `scratch`; it installs and loads nothing by itself.

    `postgres` says that PostgreSQL will be attached: the extension for that is loaded. Its signature is checked by
    the first such engine of a process; for the same file it is not checked again, as that takes longer than a small
    batch. Whatever else is loaded in the engine must be signed.
    """
    connection = (_ready and _ready.take(postgres)) or _opened(postgres)
    try:
        connection.execute(f"SET memory_limit = {literal(memory_limit)}")
        connection.execute(f"SET temp_directory = {literal(str(scratch / 'spill'))}")
        if threads:
            connection.execute(f"SET threads = {int(threads)}")
        yield Engine(connection, has_postgres=postgres)
    finally:
        connection.close()


def keep_ready() -> None:
    """From now on this process has an engine ready before it is asked for: to begin one takes 10 ms of a small batch.

    Not for a process that is going to fork: threads do not come along.
    """
    global _ready
    _ready = _ready or _Ready()


def _opened(postgres: bool) -> duckdb.DuckDBPyConnection:
    unsigned = postgres and _checked == _stamp()
    config: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        # It tells an old content of a path from a new one by time and size: a file that is soon written anew may be
        # read as it was before, in part or whole. The operating system keeps local files at hand anyway.
        "enable_external_file_cache": False,
        "allow_unsigned_extensions": unsigned,
    }
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("SET TimeZone = 'UTC'")
    if postgres:
        _load_postgres(connection)
    if unsigned:  # for the one file alone; nobody can allow it again
        connection.execute("SET allow_unsigned_extensions = false")
    return connection


class _Ready:
    """An unused engine of either kind (see `connect`), begun in a thread as soon as the one before it is taken."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="next engine")
        self._next = {postgres: self._thread.submit(_opened, postgres) for postgres in (False, True)}

    def take(self, postgres: bool) -> duckdb.DuckDBPyConnection:
        taken = self._next[postgres]
        self._next[postgres] = self._thread.submit(_opened, postgres)
        return taken.result()


_ready: _Ready | None = None

#: The extension's file (device, inode, size, modification time) once this process has loaded it, and so checked it.
_checked: tuple[int, ...] | None = None


@cache
def _postgres_extension() -> Path:
    import duckdb_extension_postgres_scanner as package

    root = Path(str(package.__file__)).parent / "extensions"
    return sorted(root.rglob("postgres_scanner.duckdb_extension"))[-1]


def _stamp() -> tuple[int, ...]:
    stat = _postgres_extension().stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _load_postgres(connection: duckdb.DuckDBPyConnection) -> None:
    """Loads the PostgreSQL extension from its Python package: nothing is downloaded."""
    global _checked
    stamp = _stamp()
    try:
        connection.execute(f"LOAD {literal(str(_postgres_extension()))}")
    except duckdb.Error as error:
        raise translated(error) from error
    _checked = stamp


class Engine:
    """One connection; every failure of it is an `EngineFailed`, or `Unavailable` where trying again may help."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, *, has_postgres: bool = False) -> None:
        self._connection = connection
        self._has_postgres = has_postgres

    def run(self, sql: str, parameters: list[Any] | None = None) -> None:
        """Executes a statement for its effect."""
        self._execute(sql, parameters)

    def copy(self, sql: str) -> int:
        """Executes a `COPY ... TO`; returns the number of rows written."""
        return int(self.row(sql)[0])

    def copy_files(self, sql: str) -> list[Path]:
        """Executes a `COPY ... TO ... (...)`; returns the files that it wrote, none where there was no row."""
        count, files = self.row(f"{sql.removesuffix(')')}, RETURN_FILES)")
        return sorted(Path(file) for file in files) if count else []

    def scan_postgres_in_parts(self, parts: bool) -> None:
        """Whether PostgreSQL's tables are read as ranges of pages in parallel: right for most of a table.

        For a few of its rows it is wrong: a range of pages keeps PostgreSQL from using an index.
        """
        self.run(f"SET pg_use_ctid_scan = {'true' if parts else 'false'}")

    def forget_order(self) -> None:
        """Lets rows come in any order from now on: scans run in parallel, and writes hold less in memory."""
        self.run("SET preserve_insertion_order = false")

    def rows(self, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """Executes a query and gives its rows."""
        return self._execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: list[Any] | None = None) -> tuple[Any, ...]:
        """Executes a query of one row."""
        return self.rows(sql, parameters)[0]

    @property
    def threads(self) -> int:
        """How many threads the engine may use."""
        return int(self.row("SELECT current_setting('threads')")[0])

    def side_by_side(self, statements: Iterable[str]) -> list[Any]:
        """Executes statements at the same time, each on one thread and a connection of its own; gives each one's
        first value.

        Each starts as soon as it is given, while the next one may still be in the making. The connections see the
        same database but neither temporary nor registered tables. When one statement fails, or the next cannot be
        given, the others are stopped.
        """
        cursors: list[duckdb.DuckDBPyConnection] = []
        running: list[Future[Any]] = []

        def run(cursor: duckdb.DuckDBPyConnection, sql: str) -> Any:
            try:
                cursor.execute("SET TimeZone = 'UTC'")
                return cursor.execute(sql).fetchall()[0][0]
            except duckdb.Error as error:
                raise translated(error) from error

        try:
            with self._without_threads(), ThreadPoolExecutor() as pool:
                try:
                    for sql in statements:
                        cursors.append(self._connection.cursor())
                        running.append(pool.submit(run, cursors[-1], sql))
                    failed = [one for one in wait(running, return_when=FIRST_EXCEPTION).done if one.exception()]
                finally:
                    # A statement that is about to start does not hear the first call.
                    while wait(running, timeout=0.02).not_done:
                        for cursor in cursors:
                            cursor.interrupt()
                return [one.result() for one in failed or running]
        finally:
            for cursor in cursors:
                cursor.close()

    @contextmanager
    def _without_threads(self) -> Iterator[None]:
        """Keeps statements on the threads that execute them.

        Otherwise a thread of the engine's own takes a statement over that cannot be split, and the one that waits for
        it asks without a pause whether it is done, which costs a core.
        """
        threads = self.threads
        self.run("SET threads = 1")
        try:
            yield
        finally:
            self.run(f"SET threads = {threads}")

    def table(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of a query."""
        result = self._execute(sql, None)
        return [column[0] for column in result.description or []], result.fetchall()

    def streamed(self, sql: str) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
        """Column names of a query, and its rows as they are asked for."""
        result = self._execute(sql, None)
        return [column[0] for column in result.description or []], _rows(result)

    def at_hand(self, name: str, relation: str) -> str:
        """Copies a relation into memory, under a name, for many questions about few rows; gives the name, quoted."""
        self.run(f"CREATE OR REPLACE TEMP TABLE {quoted(name)} AS FROM {relation}")
        return quoted(name)

    def batches(self, sql: str, rows: int = ROWS_PER_BATCH) -> tuple[list[str], Any]:
        """The types of a query's columns, and its rows as an Arrow reader of batches of so many rows."""
        result = self._execute(sql, None)
        types = [str(column[1]) for column in result.description or []]
        return types, result.to_arrow_reader(rows)

    def keep_files(self) -> None:
        """Lets what was read of a file be kept for the next query: for files that are never written anew."""
        self.run("SET enable_external_file_cache = true")

    def shut(self, files: list[str]) -> None:
        """From now on nothing outside is reached but these files, and no setting is changed any more."""
        self.run("SET python_enable_replacements = false")
        self.run(f"SET allowed_paths = {path_list(files)}")
        self.run("SET enable_external_access = false")
        self.run("SET lock_configuration = true")

    def register(self, name: str, table: Any) -> None:
        """Makes an Arrow table readable under a name."""
        self._connection.register(name, table)

    def attach_postgres(self, url: str, name: str = "pg", schema: str | None = None) -> None:
        """Attaches a PostgreSQL database, read-only, by the extension package that is installed beside us.

        Where one `schema` is enough, the first question need not look through the others.
        """
        self.load_postgres()
        only = f", SCHEMA {literal(schema)}" if schema else ""
        self.run(f"ATTACH {literal(url)} AS {quoted(name)} (TYPE postgres, READ_ONLY{only})")

    @contextmanager
    def attached(self, url: str, name: str = "beside") -> Iterator[str]:
        """`attach_postgres` for as long as the block lasts; gives the name."""
        self.attach_postgres(url, name)
        try:
            yield name
        finally:
            self.run(f"DETACH {quoted(name)}")

    def load_postgres(self) -> None:
        """Loads the PostgreSQL extension, where it is not loaded yet."""
        if not self._has_postgres:
            _load_postgres(self._connection)
            self._has_postgres = True

    def _execute(self, sql: str, parameters: list[Any] | None) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(sql, parameters) if parameters else self._connection.execute(sql)
        except duckdb.Error as error:
            # Not chained where it holds a password: a trace of the chain would print it.
            raise translated(error) from (None if _PASSWORD.search(str(error)) else error)


#: The user and password of a database's URL, or the password of a connection string, which the engine repeats in
#: full when it cannot connect; what follows an @ that was not written as %40 is taken for the host.
_PASSWORD = re.compile(
    r"""(?<=://)\S*(?=@)|(?<=host name ")[^"]*(?=@)|(?<=password=)(?:'(?:\\.|[^'\\])*'|\S+?(?=": |\s|$))"""
)
#: What the engine says when the attached PostgreSQL is not there, or no longer.
_NO_POSTGRES = (
    "Unable to connect to Postgres",
    "server closed the connection",
    "terminating connection",
    "no connection to the server",
    "could not receive data from server",
    "could not send data to server",
)


def _rows(result: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    try:
        while page := result.fetchmany(ROWS_PER_PAGE):
            yield from page
    except duckdb.Error as error:
        raise translated(error) from error


def translated(error: duckdb.Error) -> AssayError:
    """The engine's exception as one of ours; a password in its text is masked."""
    text = _PASSWORD.sub("****", str(error).strip())
    first = text.splitlines()[0] if text else type(error).__name__
    if isinstance(error, duckdb.IOException) and ("No space left" in text or "File too large" in text):
        return Unavailable("the disk is full", next="free some space and run the same command again")
    if any(words in text for words in _NO_POSTGRES):
        reason = first.rsplit('": ', 1)[-1]
        return Unavailable(f"PostgreSQL did not answer: {reason}", next="run the same command again")
    if isinstance(error, duckdb.OutOfMemoryException):
        return Unavailable(
            f"the engine ran out of memory: {first}", next="raise memory_limit of the target in assay.yaml"
        )
    return EngineFailed(first)
