"""One file of somebody else's history to readings, by a mapping: whole, or refused with a reason.

Rows of which a cell cannot be read are handed on with the reason; the others count.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from math import isnan

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.etl.import_mapping import TIME_UNITS, ImportMapping
from pipeline.messages import SCHEMA, is_device_id
from pipeline.partitions import HOUR_MS

MOST_REASONS = 1_000
"""Refused rows of a file that are told one by one."""


class FileRefused(Exception):
    """A file that cannot be imported; the message says why."""


@dataclass(frozen=True)
class Readings:
    """What a file holds. ``lines`` are the raw zone's, by hour since 1970 and then by time."""

    lines: dict[int, list[bytes]]
    devices: tuple[str, ...]
    rows: int
    first_ms: int
    last_ms: int
    refused: int
    reasons: tuple[tuple[int, str], ...]
    """(row, reason), the first ones; rows count from 1."""


def read_file(path: str, body: bytes, mapping: ImportMapping) -> Readings:
    """Return a file's readings; raises FileRefused for one that must not be half imported."""
    frame, wrong = _frame(body, mapping)
    missing = [name for name in mapping.columns if name not in frame.columns]
    if missing:
        there = ", ".join(map(str, frame.columns[:20]))
        raise FileRefused(f"it has no column {missing[0]!r}; it has {there}")
    if frame.empty:
        raise FileRefused("it has no rows")
    reasons = np.full(len(frame), "", dtype=object)
    times = _times(frame, mapping, reasons)
    devices = _devices(path, frame, mapping, reasons)
    values = _values(frame, mapping, reasons)
    _refuse_repeated(times, devices, reasons)
    good = reasons == ""
    if not good.any():
        first = next(reason for reason in reasons if reason)
        raise FileRefused(f"no row of it can be read: {first}")
    told = [*wrong, *((int(row) + 1, str(reasons[row])) for row in np.flatnonzero(~good))]
    kept = np.flatnonzero(good)
    order = kept[np.lexsort((devices[kept].astype(str), times[kept]))]
    return Readings(
        lines=_lines(order, times, devices, values, [one.name for one in mapping.sensors]),
        devices=tuple(sorted(set(devices[order].tolist()))),
        rows=len(order),
        first_ms=int(times[order].min()),
        last_ms=int(times[order].max()),
        refused=len(told),
        reasons=tuple(sorted(told)[:MOST_REASONS]),
    )


def _frame(body: bytes, mapping: ImportMapping) -> tuple[pd.DataFrame, list[tuple[int, str]]]:
    """Return a file's cells (texts, but for Parquet) and the rows that are none."""
    wrong: list[tuple[int, str]] = []
    try:
        if mapping.format == "parquet":
            return pq.read_table(io.BytesIO(body)).to_pandas(), wrong
        if mapping.format == "text":
            rows = [line.split() for line in body.decode(mapping.encoding).splitlines()]
            rows = [row for row in rows if row]
            width = max((len(row) for row in rows), default=0)
            wrong = [
                (number, f"{len(row)} columns instead of {width}")
                for number, row in enumerate(rows, 1)
                if len(row) != width
            ]
            names = [f"c{number}" for number in range(1, width + 1)]
            return pd.DataFrame([row for row in rows if len(row) == width], columns=names), wrong

        def keep(row: pacsv.InvalidRow) -> str:
            told = f"{row.actual_columns} columns instead of {row.expected_columns}"
            wrong.append((row.number if row.number is not None else 0, told))
            return "skip"

        names = _header(body, mapping)
        table = pacsv.read_csv(
            io.BytesIO(body),
            pacsv.ReadOptions(use_threads=False, encoding=mapping.encoding),
            pacsv.ParseOptions(delimiter=mapping.delimiter, invalid_row_handler=keep),
            pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
        return table.to_pandas(), wrong
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise FileRefused(f"it cannot be read as {mapping.format}: {reason}") from None


def _header(body: bytes, mapping: ImportMapping) -> list[str]:
    first = body.partition(b"\n")[0].decode(mapping.encoding).strip("\r\ufeff")
    return [name.strip('"') for name in first.split(mapping.delimiter)]


def _times(
    frame: pd.DataFrame, mapping: ImportMapping, reasons: NDArray[np.object_]
) -> NDArray[np.int64]:
    """Return the rows' times in milliseconds since 1970, UTC."""
    if mapping.start is not None:
        start_ms = round(mapping.start.timestamp() * 1_000)
        steps = np.arange(len(frame)) * (mapping.period_s * 1_000)
        return start_ms + np.round(steps).astype(np.int64)
    column = frame[mapping.time_column]
    if mapping.time_unit:
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
        found = numbers * TIME_UNITS[mapping.time_unit]
        bad = ~np.isfinite(found) | (found < 0)
        milliseconds = np.where(bad, 0, found).round().astype(np.int64)
    else:
        moments = pd.to_datetime(column, format=mapping.time_format or None, errors="coerce")
        if moments.dt.tz is None:
            moments = moments.dt.tz_localize(mapping.timezone, ambiguous="NaT", nonexistent="NaT")
        bad = moments.isna().to_numpy()
        nanoseconds = moments.dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[ns]")
        milliseconds = nanoseconds.to_numpy().astype(np.int64) // 1_000_000
        milliseconds = np.where(bad | (milliseconds < 0), 0, milliseconds)
    _refuse(reasons, bad, column, "is no time")
    return np.asarray(milliseconds, np.int64)


def _refuse(
    reasons: NDArray[np.object_], bad: NDArray[np.bool_], column: pd.Series, why: str
) -> None:
    for row in np.flatnonzero(bad & (reasons == "")):
        reasons[row] = f"{column.name}: {str(column.iloc[row])[:40]!r} {why}"


def _devices(
    path: str, frame: pd.DataFrame, mapping: ImportMapping, reasons: NDArray[np.object_]
) -> NDArray[np.object_]:
    if not mapping.device_column:
        device = mapping.device_of(path)
        if not is_device_id(device):
            raise FileRefused(f"{device!r} is no device id: letters, digits, - and _, at most 64")
        return np.full(len(frame), device, dtype=object)
    column = frame[mapping.device_column].astype(str)
    bad = np.array([not is_device_id(text) for text in column])
    _refuse(reasons, bad, column, "is no device id")
    return np.asarray(column.to_numpy(dtype=object))


def _values(
    frame: pd.DataFrame, mapping: ImportMapping, reasons: NDArray[np.object_]
) -> NDArray[np.float64]:
    """Return rows by sensors; NaN where a cell is empty."""
    found = np.empty((len(frame), len(mapping.sensors)))
    for place, sensor in enumerate(mapping.sensors):
        column = frame[sensor.column]
        is_text = column.dtype == object or isinstance(column.dtype, pd.StringDtype)
        texts = column.astype(str).str.strip() if is_text else column
        empty = column.isna().to_numpy()
        if is_text:
            empty |= texts.str.lower().isin(["", "nan", "na", "null", "none"]).to_numpy()
            if mapping.decimal == ",":
                texts = texts.str.replace(",", ".", regex=False)
        numbers = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        if is_text:
            # Which texts are numbers is pandas' to say, but its last digit may be off by one.
            good = np.isfinite(numbers)
            numbers[good] = texts[good].to_numpy(dtype=str).astype(np.float64)
        _refuse(reasons, ~np.isfinite(numbers) & ~empty, column, "is no number")
        found[:, place] = numbers * sensor.scale + sensor.offset
    nothing = np.isnan(found).all(axis=1)
    reasons[nothing & (reasons == "")] = "no sensor has a value"
    return found


def _refuse_repeated(
    times: NDArray[np.int64], devices: NDArray[np.object_], reasons: NDArray[np.object_]
) -> None:
    """Refuse a device's second reading of one moment: its time is its number."""
    good = np.flatnonzero(reasons == "")
    pairs = pd.DataFrame({"device": devices[good], "time": times[good]})
    reasons[good[pairs.duplicated().to_numpy()]] = "the device has a reading of this time already"


def _lines(
    order: NDArray[np.int64],
    times: NDArray[np.int64],
    devices: NDArray[np.object_],
    values: NDArray[np.float64],
    names: list[str],
) -> dict[int, list[bytes]]:
    lines: dict[int, list[bytes]] = {}
    for row in order:
        time_ms = int(times[row])
        cells = zip(names, values[row].tolist(), strict=True)
        line = orjson.dumps(
            {
                "schema": SCHEMA,
                "device_id": devices[row],
                # A recording has no numbers: the time is one, and the same in every import.
                "seq": time_ms,
                "event_time_ms": time_ms,
                "late": False,
                "values": {name: value for name, value in cells if not isnan(value)},
            }
        )
        lines.setdefault(time_ms // HOUR_MS, []).append(line)
    return lines
