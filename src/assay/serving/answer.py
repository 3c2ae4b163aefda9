"""An answer on its way: Arrow, Polars, pandas or rows, as they come from the process that runs the question."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from assay.errors import Unavailable, Usage

if TYPE_CHECKING:
    import pyarrow as pa

#: The engine's type that Arrow knows as a decimal only.
_HUGE = "HUGEINT"


class Answer:
    """The answer to one question; it is read once.

    `masked` are the columns of the tables asked for whose cells are masked for the asker, `filtered` the tables of
    which he is shown some rows only.
    """

    def __init__(
        self, reader: pa.RecordBatchReader, types: list[str], done: Callable[[bool], None],
        masked: tuple[str, ...], filtered: tuple[str, ...], bytes_most: int | None = None,
    ) -> None:  # fmt: skip
        self._reader = reader
        self._types = types
        self._done = done
        self._most = bytes_most
        self._open = True
        self.masked = masked
        self.filtered = filtered

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self._reader.schema.names)

    @property
    def schema(self) -> pa.Schema:
        """The columns, in Arrow's types."""
        return self._reader.schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in batches, as they come."""
        if not self._open:
            raise Usage("the answer has been read", next="ask again")
        self._open = False
        complete = False
        size = 0
        try:
            for batch in self._reader:
                size += batch.nbytes
                if self._most is not None and size > self._most:
                    raise Unavailable(
                        f"the answer is larger than {self._most:,} bytes", where="your statement",
                        next="ask for fewer rows or columns",
                    )  # fmt: skip
                yield batch
            complete = True
        finally:
            self._done(complete)

    def arrow(self) -> pa.Table:
        """All rows as an Arrow table."""
        import pyarrow as pa

        return pa.Table.from_batches(list(self.batches()), self.schema)

    def polars(self) -> Any:
        """All rows as a Polars frame; Polars must be installed."""
        return _installed("polars").from_arrow(self.arrow())

    def pandas(self) -> Any:
        """All rows as a pandas frame; pandas must be installed."""
        _installed("pandas")
        return self.arrow().to_pandas()

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows as tuples of Python's values."""
        makers = [_maker(kind) for kind in self._types]
        for batch in self.batches():
            columns = [make(column) for make, column in zip(makers, batch.columns, strict=True)]
            yield from zip(*columns, strict=True)

    def close(self) -> None:
        """Ends the question where it is still running."""
        if self._open:
            self._open = False
            self._done(False)

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _maker(kind: str) -> Callable[[Any], list[Any]]:
    if kind in (_HUGE, "UHUGEINT"):
        return lambda column: [None if one is None else int(one) for one in _values(column)]
    if kind == "INTERVAL":
        return lambda column: [_span(one) for one in _values(column)]
    return _values


def _values(column: Any) -> list[Any]:
    try:
        return column.to_pylist(maps_as_pydicts="lossy")  # type: ignore[no-any-return]
    except (ValueError, OverflowError, TypeError):  # times and keys that Python does not know: as text
        import pyarrow as pa

        return column.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]


def _span(value: Any) -> timedelta | None:
    if value is None:
        return None
    return timedelta(days=value.months * 30 + value.days, microseconds=value.nanoseconds // 1000)


def _installed(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise Usage(f"{name} is not installed", next=f"pip install {name}, or use .arrow()") from error
