"""Objects of the raw zone to messages: what Spark's Python workers read first.

JSON lines (gzip or plain) and Parquet. Whole blocks of lines are parsed at once; where anything
about a block is in doubt, its lines are parsed one by one (`raw_lines`), which decides. What
cannot be read is handed on with object and reason: nothing is dropped, nothing stops the rest.
"""

from __future__ import annotations

import gc
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import TypeVar

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.bursts import burst_feature_names
from pipeline.etl.packed import Columns, PackedRows
from pipeline.etl.raw_lines import MAX_NUMBER, RawMessage, parse_line
from pipeline.settings import FeatureSpec

T = TypeVar("T")

_BLOCK_BYTES = 4 << 20
"""Lines that are parsed together: of a piece of one object, or of many small objects."""
_BURST = b'"samples_b64"'
"""Only bursts have it, and their lines are parsed one by one."""
_GZIP = 31
"""zlib's word for: a gzip header, the largest window."""


def parse_objects(batches: Iterable[pa.RecordBatch], spec: FeatureSpec) -> Iterator[pa.RecordBatch]:
    """Yield `PACKED_SCHEMA` rows of objects given as (path, content).

    Small objects share a block: a slow fleet's hold a few lines of each device, and what is packed
    of each object alone costs more than its lines.
    """
    waiting = _Waiting(spec)
    for batch in batches:
        for path, content in zip(batch.column(0).to_pylist(), batch.column(1), strict=True):
            # A view: an object's bytes are not copied, except block by block.
            yield from _parse_object(path, memoryview(content.as_buffer()), spec, waiting)
    yield from waiting.parsed()


class _Waiting:
    """Blocks of whole lines that are parsed together; each with the object that it is of."""

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._blocks: list[tuple[str, bytes]] = []
        self._bytes = 0

    def take(self, path: str, block: bytes) -> Iterator[pa.RecordBatch]:
        """Take a block; yield what waited when there is enough of it, and bursts at once."""
        if _BURST in block:
            yield _parse_block(path, block, self._spec)
            return
        self._blocks.append((path, block))
        self._bytes += len(block)
        if self._bytes >= _BLOCK_BYTES:
            yield from self.parsed()

    def parsed(self) -> Iterator[pa.RecordBatch]:
        """Yield what waits. Where one of the blocks is in doubt, each is parsed by itself."""
        blocks, self._blocks, self._bytes = self._blocks, [], 0
        if len(blocks) > 1:
            rows = PackedRows()
            together = b"\n".join(block.rstrip(b"\n") for _, block in blocks)
            if _without_collector(lambda: _parse_at_once(together, self._spec, rows)):
                yield rows.batch()
                return
        for path, block in blocks:
            yield _parse_block(path, block, self._spec)


def _parse_object(
    path: str, content: memoryview, spec: FeatureSpec, waiting: _Waiting
) -> Iterator[pa.RecordBatch]:
    if path.endswith(".parquet"):
        rows = PackedRows()
        _parse_parquet(path, content, spec, rows)
        yield rows.batch()
        return
    rest = b""
    try:
        for piece in _pieces(content) if path.endswith(".gz") else _cut(content):
            end = piece.rfind(b"\n") + 1
            if not end:
                rest += piece
                continue
            yield from waiting.take(path, rest + piece[:end])
            rest = piece[end:]
    except (zlib.error, EOFError) as error:
        rows = PackedRows()
        rows.refuse(path, f"not a whole gzip object: {error}", rest)
        yield rows.batch()
    else:
        if rest:
            yield from waiting.take(path, rest)


def _cut(content: memoryview) -> Iterator[bytes]:
    for start in range(0, len(content), _BLOCK_BYTES):
        yield bytes(content[start : start + _BLOCK_BYTES])


def _pieces(content: memoryview) -> Iterator[bytes]:
    """Yield the contents of a gzip object, which may have several members, piece by piece.

    Raises zlib.error for damage, EOFError when it ends early; what came before is good.
    """
    data: bytes | memoryview = content
    while True:
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            piece = member.decompress(data, _BLOCK_BYTES)
            data = member.unconsumed_tail
            if piece:
                yield piece
            elif not data and not member.eof:
                raise EOFError("it ends early")
        data = member.unused_data
        if not data:
            return


def _parse_block(path: str, block: bytes, spec: FeatureSpec) -> pa.RecordBatch:
    rows = PackedRows()

    def parse() -> None:
        if not _parse_at_once(block, spec, rows):
            _parse_each(path, block, spec, rows)

    _without_collector(parse)
    return rows.batch()


def _without_collector(parse: Callable[[], T]) -> T:
    """Return what a parser returns.

    A block makes two dictionaries a line, none of them in a cycle: looking for cycles among them
    takes longer than parsing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return parse()
    finally:
        if was_enabled:
            gc.enable()


def _parse_at_once(block: bytes, spec: FeatureSpec, rows: PackedRows) -> bool:
    """Parse a block of readings that is beyond doubt; return whether it was.

    Not with Arrow's JSON reader, which is quicker: lines that are no JSON can crash it, and the
    worker process with it (found by a test here, pyarrow 26).
    """
    try:
        lines = list(map(orjson.loads, block.rstrip(b"\n").split(b"\n")))
        ids, seqs, times, late, values = zip(*map(_reading_fields, lines), strict=True)
        table = list(map(_of_sensors(spec.sensors), values))
    except (ValueError, KeyError, TypeError):
        return False
    right = (
        _BURST not in block
        and _are(ids, {str})
        and "" not in ids
        and _are(chain(seqs, times), {int})
        and min(*seqs, *times) >= 0
        and max(*seqs, *times) < MAX_NUMBER
        and _are(late, {bool})
        and _are(values, {dict})
        and _are(chain.from_iterable(table), {float, int})
    )
    if not right:
        return False
    cells = chain.from_iterable(table)
    columns = np.fromiter(cells, np.float64, len(table) * len(spec.sensors))
    columns = columns.reshape(len(table), len(spec.sensors))
    if not np.isfinite(columns).all():
        return False
    position = {name: number for number, name in enumerate(dict.fromkeys(ids))}
    device = np.array([position[name] for name in ids], np.int64)
    found = Columns(_integers(seqs), _integers(times), np.array(late, np.bool_), columns)
    rows.add(list(position), device, found, is_burst=False)
    return True


_reading_fields = itemgetter("device_id", "seq", "event_time_ms", "late", "values")


def _of_sensors(sensors: tuple[str, ...]) -> Callable[[dict[str, float]], tuple[float, ...]]:
    """Return what takes the sensors' values out of a reading, always as a tuple."""
    if len(sensors) == 1:
        return lambda values: (values[sensors[0]],)
    return itemgetter(*sensors)


def _are(found: Iterable[object], kinds: set[type]) -> bool:
    """Tell whether all are of these very types (True is no number)."""
    return kinds.issuperset(map(type, found))


def _line_schema(spec: FeatureSpec) -> pa.Schema:
    return pa.schema(
        [
            ("device_id", pa.string()),
            ("seq", pa.int64()),
            ("event_time_ms", pa.int64()),
            ("late", pa.bool_()),
            ("values", pa.struct([(name, pa.float64()) for name in spec.sensors])),
        ]
    )


def _add_readings(
    table: pa.Table,
    values: list[pa.ChunkedArray],
    late: pa.ChunkedArray,
    spec: FeatureSpec,
    rows: PackedRows,
) -> str | None:
    """Add a table's readings if every field of every row is right; else say what is not."""
    wrong = _wrong_field(table, late)
    if wrong is not None:
        return wrong
    seq, time = table["seq"].to_numpy(), table["event_time_ms"].to_numpy()
    columns = np.empty((table.num_rows, len(spec.sensors)))
    for position, (name, column) in enumerate(zip(spec.sensors, values, strict=True)):
        if column.null_count and name not in spec.optional:
            return f"value of {name!r} is missing"
        numbers = column.to_numpy()
        if np.isfinite(numbers).sum() != len(column) - column.null_count:
            return f"value of {name!r} is not finite"
        columns[:, position] = numbers
    encoded = pc.dictionary_encode(table["device_id"]).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    names = encoded.dictionary.to_pylist()
    if "" in names:
        return "device_id is empty"
    marks = late.to_numpy().astype(np.bool_)
    device = encoded.indices.to_numpy().astype(np.int64)
    rows.add(names, device, Columns(seq, time, marks, columns), is_burst=False)
    return None


def _wrong_field(table: pa.Table, late: pa.ChunkedArray) -> str | None:
    """Return what is wrong with the fields that every message has, None for nothing."""
    for name in ("device_id", "seq", "event_time_ms"):
        if table[name].null_count:
            return f"{name} is missing"
    if late.null_count:
        return "late is missing"
    for name in ("seq", "event_time_ms"):
        numbers = table[name].to_numpy()
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < MAX_NUMBER):
            return f"{name} is not a whole number from 0 to 2^53 - 1"
    return None


def _parse_each(path: str, block: bytes, spec: FeatureSpec, rows: PackedRows) -> None:
    """Parse line by line; a wrong one is noted with its reason."""
    found: dict[bool, list[RawMessage]] = {False: [], True: []}
    for line in block.split(b"\n"):
        if not line or line.isspace():
            continue
        message = parse_line(line, spec)
        if isinstance(message, str):
            rows.refuse(path, message, line)
        else:
            found[message.is_burst].append(message)
    widths = {False: len(spec.sensors), True: len(burst_feature_names(spec))}
    for is_burst, messages in found.items():
        if not messages:
            continue
        names = list(dict.fromkeys(message.device_id for message in messages))
        position = {name: number for number, name in enumerate(names)}
        values = np.full((len(messages), widths[is_burst]), np.nan)
        for row, message in enumerate(messages):
            if message.values:
                values[row] = message.values
        rows.add(
            names,
            np.array([position[message.device_id] for message in messages], np.int64),
            Columns(
                _integers([message.seq for message in messages]),
                _integers([message.event_time_ms for message in messages]),
                np.array([message.late for message in messages], np.bool_),
                values,
            ),
            is_burst=is_burst,
        )


def _integers(numbers: Sequence[int]) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


def _parse_parquet(path: str, content: memoryview, spec: FeatureSpec, rows: PackedRows) -> None:
    """Read an object with the columns of a reading: a row each, sensors as columns.

    An object with one wrong row is refused whole: where a column is wrong, its rows are in doubt.
    """
    try:
        table = pq.read_table(pa.BufferReader(pa.py_buffer(content)))
        wanted = _line_schema(spec)
        columns = {
            name: table[name].cast(wanted.field(name).type)
            for name in ("device_id", "seq", "event_time_ms")
        }
        nothing = pa.chunked_array([pa.nulls(table.num_rows, pa.float64())])
        values = [
            table[name].cast(pa.float64())
            if name in table.column_names or name not in spec.optional
            else nothing
            for name in spec.sensors
        ]
        on_time = pa.chunked_array([pa.array(np.zeros(table.num_rows, np.bool_))])
        late = table["late"].cast(pa.bool_()) if "late" in table.column_names else on_time
    except KeyError as error:
        rows.refuse(path, f"no column {error.args[0]}")
        return
    except (pa.ArrowException, OSError) as error:
        rows.refuse(path, f"not a readable Parquet object: {str(error).splitlines()[0][:200]}")
        return
    wrong = _add_readings(pa.table(columns), values, late, spec, rows)
    if wrong is not None:
        rows.refuse(path, wrong)
