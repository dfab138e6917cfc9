"""The file a bulk run writes, and the one beside it with what failed.

Rows are appended as they come, whole lines at once, so a run may be killed at any moment; the next
one does what is left. Failures are appended too, and those of earlier runs go when a run has come
to its end: it tried them again. At the end the file is put into an order that does not depend on
who was quicker. A Parquet file cannot be appended to: its rows wait in lines beside it until then.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from backend.bulk.rows import Row, arrow_schema, order
from backend.bulk.units import Failure
from videogem.errors import InputError

SUFFIXES = (".jsonl", ".parquet")
NAMES = ("id", "source", "narration", "model_version")  # every row has these
AT_ONCE = 10_000  # rows of one group in a Parquet file


class RowFile:
    """Rows of one model version; held by one process at a time, from ``with`` to its end.

    ``done`` has the ids of the rows that are there.

    Raises:
        InputError: on entering: a name of another kind, a file that is no rows or holds those of
            another model, or another run writes to it.
    """

    def __init__(self, path: Path, version: str) -> None:
        if path.suffix not in SUFFIXES:
            raise InputError(f"--out must end with .jsonl or .parquet, got '{path}'.")
        self.path = path
        self.failures_path = path.with_name(f"{path.name}.failed.jsonl")
        self.done: set[str] = set()
        self.num_failures = 0
        self._version = version
        self._finished = False
        self._parquet = path.suffix == ".parquet"
        self._lines = path.with_name(f"{path.name}.part.jsonl") if self._parquet else path
        self._lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=0)

    def __enter__(self) -> "RowFile":
        if self._parquet:
            require_pyarrow()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise InputError(f"Another run writes to '{self.path}' just now.") from None
        try:
            self._resume()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._out.close()
        self._failed.close()
        if not self.done:
            self._lines.unlink(missing_ok=True)
        try:
            self._settle_failures()
        finally:
            self._lock.release()

    def add(self, rows: Sequence[Row]) -> None:
        """Append rows."""
        self._out.write("".join(map(_line, rows)).encode())
        self._out.flush()
        self.done.update(row["id"] for row in rows)

    def fail(self, failures: Sequence[Failure]) -> None:
        """Note what failed, beside the rows; the next run tries it again."""
        self._failed.write("".join(_line(dataclasses.asdict(one)) for one in failures).encode())
        self._failed.flush()
        self.num_failures += len(failures)

    def finish(self) -> None:
        """The run has come to its end: put all rows in their order, each once; without rows there
        is no file. What failed in earlier runs was tried again, and goes.
        """
        self._out.close()
        if self.done:
            self._put_in_order()
        self._finished = True

    def _put_in_order(self) -> None:
        rows = sorted(_places(self._lines), key=lambda place: place[0])
        part = self.path.with_name(f".{self.path.name}.part")
        with self._lines.open("rb") as lines:
            sorted_lines = (_line_at(lines, start) for _, start in rows)
            if self._parquet:
                _write_parquet(part, map(json.loads, sorted_lines))
            else:
                with part.open("wb") as out:
                    out.writelines(sorted_lines)
        part.replace(self.path)
        if self._parquet:
            self._lines.unlink()

    def _resume(self) -> None:
        if self._parquet and self.path.exists() and not self._lines.exists():
            with self._lines.open("wb") as out:
                out.writelines(_line(row).encode() for row in read_rows(self.path))
        if self._lines.exists():
            _cut_unfinished_line(self._lines)
            for row in read_rows(self._lines):
                if row["model_version"] != self._version:
                    raise InputError(
                        f"'{self.path}' holds rows of {row['model_version']}, and this run makes "
                        f"those of {self._version}; choose another file for --out."
                    )
                self.done.add(row["id"])
        self._out = self._lines.open("ab")
        if self.failures_path.exists():
            _cut_unfinished_line(self.failures_path)
        self._failed = self.failures_path.open("ab")
        self._num_bytes_before = self._failed.tell()

    def _settle_failures(self) -> None:
        """Keep what failed in this run and, if it broke off, what it did not come to again."""
        part = self.failures_path.with_name(f".{self.failures_path.name}.part")
        with self.failures_path.open("rb") as failed, part.open("wb") as kept:
            if not self._finished:
                failed.seek(self._num_bytes_before)
                tried = set(map(_moment, failed))
                failed.seek(0)
                while failed.tell() < self._num_bytes_before:
                    line = failed.readline()
                    moment = _moment(line)
                    if moment not in tried and moment[1] not in self.done:
                        kept.write(line)
            failed.seek(self._num_bytes_before)
            kept.writelines(failed)
            empty = not kept.tell()
        part.replace(self.failures_path)
        if empty:
            self.failures_path.unlink()


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a finished or unfinished file, one at a time.

    Raises:
        InputError: there is none, or a line is no row of a bulk run; the message says which.
    """
    if not path.is_file():
        raise InputError(f"There is no file '{path}'; `videogem predict` makes one.")
    rows = _parquet_rows(path) if path.suffix == ".parquet" else _json_rows(path)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in NAMES):
            raise InputError(f"Line {number} of '{path}' is no row that `videogem predict` wrote.")
        yield row


def require_pyarrow() -> None:
    """Raise InputError where Parquet files cannot be written or read."""
    try:
        import pyarrow.parquet  # noqa: F401  # whether it is there
    except ImportError:
        raise InputError(
            "Parquet files need pyarrow: pip install 'videogem-label-studio[parquet]', or choose "
            "a file that ends with .jsonl."
        ) from None


def _json_rows(path: Path) -> Iterator[Any]:
    with path.open("rb") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except (ValueError, RecursionError):
                yield None


def _parquet_rows(path: Path) -> Iterator[Row]:
    require_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        for batch in pq.ParquetFile(path).iter_batches(AT_ONCE):
            yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise InputError(f"'{path}' is no Parquet file ({error}).") from None


def _write_parquet(path: Path, rows: Iterable[Row]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = arrow_schema()
    group: list[Row] = []
    with pq.ParquetWriter(path, schema) as out:
        for row in rows:
            group.append(row)
            if len(group) == AT_ONCE:
                out.write_table(pa.Table.from_pylist(group, schema))
                group = []
        out.write_table(pa.Table.from_pylist(group, schema))


def _places(path: Path) -> Iterator[tuple[tuple[str, float, str], int]]:
    """Order and first byte of every row; of rows with one id the first."""
    seen: set[str] = set()
    start = 0
    with path.open("rb") as lines:
        for line in lines:
            row = json.loads(line)
            if row["id"] not in seen:
                seen.add(row["id"])
                yield order(row), start
            start += len(line)


def _line_at(lines: Any, start: int) -> bytes:
    lines.seek(start)
    line: bytes = lines.readline()
    return line


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row) + "\n"


def _moment(line: bytes) -> tuple[Any, Any]:
    """Source and id of what failed; of a line that a run did not write, the line."""
    try:
        failure = json.loads(line)
        return failure["source"], failure["id"]
    except (ValueError, KeyError, TypeError):
        return line, None


def _cut_unfinished_line(path: Path) -> None:
    """A kill may have cut the last line: what it said is done again."""
    with path.open("r+b") as file:
        end = file.seek(0, 2)
        while end:
            start = max(0, end - 65536)
            file.seek(start)
            cut = file.read(end - start).rfind(b"\n")
            if cut >= 0:
                file.truncate(start + cut + 1)
                return
            end = start
        file.truncate(0)
