"""Recorded runs: a folder of CSV files becomes devices with readings and labelled faults.

Every run is moved to a common start, the earliest run's first time, with its own spacing kept.
What cannot be read is refused with file, line and cure; no row is skipped. `replay` publishes
what is read here.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.errors import ReplayError
from simulator.fleet.ground_truth import FaultInterval, GroundTruth
from simulator.fleet.mapping import MAPPING_FILE, RecordingFormat, device_word, format_of
from simulator.fleet.streams import FloatArray

Times = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Run:
    """One recorded run of one device.

    ``times_ms`` (n,) counts from the run's first row; ``values`` is (n, channels);
    ``history_rows`` of them are for training; ``faults`` are first and last row of each label.
    """

    device_id: str
    times_ms: Times
    values: FloatArray
    history_rows: int
    faults: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Recording:
    """All runs of a folder, on a common time that begins at ``start``."""

    folder: Path
    format: RecordingFormat
    start: datetime
    runs: tuple[Run, ...]

    @classmethod
    def load(cls, folder: str | Path, history_rows: int | None = None) -> Recording:
        """Return the recording in a folder; raises ReplayError.

        ``history_rows`` replaces the format's number of rows for training.
        """
        folder = Path(folder)
        files = _csv_files(folder)
        kind = format_of(folder, _first_line(files[0]))
        wanted = kind.history_rows if history_rows is None else history_rows
        prefix = f"{kind.name}-{device_word(folder.resolve().name)}"
        runs, starts_ms = [], []
        for path in files:
            times_ms, values, labels = _read(path, kind)
            if len(times_ms) <= wanted:
                raise ReplayError(
                    f"{path}: line {len(times_ms) + 1}: ends after {len(times_ms)} rows, of which "
                    f"{wanted} are for training; record more or lower history_rows"
                )
            starts_ms.append(int(times_ms[0]))
            device_id = f"{prefix}-{device_word(path.stem)}"
            runs.append(Run(device_id, times_ms - times_ms[0], values, wanted, _spans(labels)))
        _refuse_twins(folder, runs)
        start = datetime.fromtimestamp(min(starts_ms) / 1000.0, UTC)
        return cls(folder, kind, start, tuple(runs))

    @property
    def devices(self) -> tuple[str, ...]:
        """Return the device ids in natural order of the file names."""
        return tuple(run.device_id for run in self.runs)

    @property
    def history_s(self) -> float:
        """Return how long the longest history takes: from the start to after its last row."""
        return max(int(run.times_ms[run.history_rows - 1]) for run in self.runs) / 1000.0

    @property
    def live_from_s(self) -> float:
        """Return the recording's time at which its first live row lies."""
        return min(int(run.times_ms[run.history_rows]) for run in self.runs) / 1000.0

    @property
    def live_s(self) -> float:
        """Return how long the live part takes."""
        return max(int(run.times_ms[-1]) for run in self.runs) / 1000.0 - self.live_from_s

    @property
    def readings(self) -> int:
        """Return how many readings all runs hold."""
        return sum(len(run.times_ms) for run in self.runs)

    def feature_spec(self) -> dict[str, Any]:
        """Return the feature spec for this run, with the recording's own sensors."""
        return self.format.feature_spec()

    def truth(self, start_ms: int) -> GroundTruth:
        """Return the labels as ground truth for a recording that begins at ``start_ms``."""
        live_ms, intervals = {}, []
        for run in self.runs:
            times_ms = run.times_ms + start_ms
            live_ms[run.device_id] = (int(times_ms[run.history_rows]), int(times_ms[-1]))
            for first, last in run.faults:
                span = int(times_ms[first]), int(times_ms[last])
                intervals.append(FaultInterval(*span, run.device_id, "anomaly", 1.0, "recorded"))
        return GroundTruth(live_ms, tuple(sorted(intervals)))


def _csv_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ReplayError(f"{folder}: no such folder; give the folder that holds the CSV files")
    files = sorted(folder.glob("*.csv"), key=lambda path: _natural(path.stem))
    if not files:
        raise ReplayError(f"{folder}: holds no *.csv file; give the folder of the runs itself")
    return files


def _natural(text: str) -> list[tuple[int, str]]:
    """Return a key that sorts 2 before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return lines.readline()
    except (OSError, UnicodeDecodeError) as error:
        raise ReplayError(f"{path}: line 1: cannot be read ({error}); save as UTF-8") from None


def _read(path: Path, kind: RecordingFormat) -> tuple[Times, FloatArray, npt.NDArray[np.bool_]]:
    """Return times (epoch ms), values (n, channels) and labels of one file."""
    times_ms: list[int] = []
    values: list[list[float]] = []
    labels: list[bool] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.reader(lines, delimiter=kind.delimiter, strict=True)
            at = _Columns.find(path, kind, next(rows, []))
            for row in rows:
                where = f"{path}: line {rows.line_num}"
                if len(row) != at.count:
                    raise ReplayError(
                        f"{where}: {len(row)} columns instead of {at.count}; correct the row"
                    )
                time_ms = _time_ms(where, row[at.time], kind)
                if times_ms and time_ms <= times_ms[-1]:
                    word = "repeats" if time_ms == times_ms[-1] else "is before"
                    raise ReplayError(
                        f"{where}: time {row[at.time]!r} {word} the row before; sort the rows "
                        "and keep one per time"
                    )
                times_ms.append(time_ms)
                values.append(list(_numbers(where, row, at)))
                labels.append(at.label is not None and _number(where, row, at.label, at) > 0.5)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReplayError(f"{path}: cannot be read as CSV ({error}); save as UTF-8") from None
    if not times_ms:
        raise ReplayError(f"{path}: line 1: no rows below the header; remove the file")
    return np.array(times_ms, np.int64), np.array(values), np.array(labels, np.bool_)


@dataclass(frozen=True)
class _Columns:
    """Where in a row everything is."""

    titles: list[str]
    time: int
    sensors: tuple[int, ...]
    label: int | None

    @property
    def count(self) -> int:
        return len(self.titles)

    @classmethod
    def find(cls, path: Path, kind: RecordingFormat, titles: list[str]) -> _Columns:
        """Return the places of the format's columns; raises ReplayError for a missing one."""
        marks = [] if kind.label_column is None else [kind.label_column]
        optional = {*marks, *kind.ignore} if kind.unlabelled_allowed else set()
        unlabelled = bool(optional) and not optional & set(titles)
        sensors = [channel.column for channel in kind.channels]
        for column in (kind.time_column, *sensors, *([] if unlabelled else marks)):
            if column not in titles:
                raise ReplayError(
                    f"{path}: line 1: no column {column!r}; add it or correct {MAPPING_FILE}"
                )
            if titles.count(column) > 1:
                raise ReplayError(f"{path}: line 1: column {column!r} twice; remove one")
        known = {kind.time_column, *sensors, *marks, *kind.ignore}
        for title in titles:
            if title not in known:
                raise ReplayError(
                    f"{path}: line 1: column {title!r} is not in the mapping; add it to sensors or "
                    f"to ignore in {MAPPING_FILE}"
                )
        label = None if unlabelled or not marks else titles.index(marks[0])
        places = tuple(titles.index(column) for column in sensors)
        return cls(titles, titles.index(kind.time_column), places, label)


def _numbers(where: str, row: list[str], at: _Columns) -> Iterator[float]:
    for place in at.sensors:
        yield _number(where, row, place, at)


def _number(where: str, row: list[str], place: int, at: _Columns) -> float:
    try:
        number = float(row[place])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ReplayError(
            f"{where}: {at.titles[place]} is {row[place]!r}, not a number; correct or remove "
            "the row"
        )
    return number


def _time_ms(where: str, text: str, kind: RecordingFormat) -> int:
    try:
        if kind.time_format in ("epoch_s", "epoch_ms"):
            return round(float(text) * (1000.0 if kind.time_format == "epoch_s" else 1.0))
        if kind.time_format == "iso":
            moment = datetime.fromisoformat(text)
        else:
            moment = datetime.strptime(text, kind.time_format)  # noqa: DTZ007
    except (ValueError, OverflowError):
        raise ReplayError(
            f"{where}: time {text!r} does not fit {kind.time_format!r}; correct the row or "
            "time_format"
        ) from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000.0)


def _spans(labels: npt.NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """Return first and last row of each unbroken run of true labels."""
    edges = np.diff(np.concatenate(([0], labels.astype(np.int8), [0])))
    firsts, lasts = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    return tuple(zip(firsts.tolist(), lasts.tolist(), strict=True))


def _refuse_twins(folder: Path, runs: list[Run]) -> None:
    seen: set[str] = set()
    for run in runs:
        if run.device_id in seen:
            raise ReplayError(f"{folder}: two files become {run.device_id}; rename one")
        seen.add(run.device_id)
