"""The format of a recording: what the columns of its CSV files mean.

Either `mapping.toml` in the recording's folder or a built-in format. docs/replay.md describes
the file. `recording` reads rows with it; nothing here opens a CSV file.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.errors import ReplayError

MAPPING_FILE = "mapping.toml"

SKAB_WINDOW_S = 15
SKAB_HOP_S = 5
SKAB_ALLOWED_LATENESS_S = 2
"""Features of a SKAB run: its runs last 20 minutes and its faults 6, so windows are short."""

SKAB_TRAINING = {
    "statistics": "mean",
    "unit_share": "0",
    "smoothing_rows": "3",
    "enter_rows": "2",
    "exit_rows": "2",
    "false_alarms_per_machine_day": "24",
}
"""For 400 healthy seconds a machine: too few to know how a deviation or a trend behaves, or one
machine's own covariance. `benchmarks/results/skab_rule.md` has what the other choices gave."""

SKAB_HISTORY_ROWS = 400
"""The first 400 rows of a run are for training, by the set's own protocol."""

DEFAULT_HISTORY_ROWS = 1_000
DEFAULT_FEATURES = {"window_s": 60, "hop_s": 10, "allowed_lateness_s": 10}
BURST_MAX_AGE_S = 900

KEYS = (
    "name",
    "delimiter",
    "time_column",
    "time_format",
    "label_column",
    "history_rows",
    "ignore",
    "sensors",
    "features",
    "training",
)
SENSOR_KEYS = ("name", "lowest", "highest")
FEATURE_KEYS = (*DEFAULT_FEATURES, "min_count")


@dataclass(frozen=True)
class Channel:
    """One sensor of a recording: its column, its name in messages, its possible values."""

    column: str
    name: str
    lowest: float
    highest: float


@dataclass(frozen=True)
class RecordingFormat:
    """How to read the CSV files of one folder.

    ``time_format``: "iso", "epoch_s", "epoch_ms" or a strptime format; times without a zone
    are UTC. ``label_column``: a value above 0.5 is a fault. ``ignore``: columns that are
    neither sensor nor label. ``unlabelled_allowed``: a file with neither the label nor any
    column to ignore is healthy by declaration. ``training``: hyperparameters of the training
    job that differ from its defaults, by its own names.
    """

    name: str
    channels: tuple[Channel, ...]
    delimiter: str = ","
    time_column: str = "time"
    time_format: str = "iso"
    label_column: str | None = None
    unlabelled_allowed: bool = False
    history_rows: int = DEFAULT_HISTORY_ROWS
    ignore: tuple[str, ...] = ()
    features: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_FEATURES))
    training: Mapping[str, str] = field(default_factory=dict)

    def feature_spec(self) -> dict[str, Any]:
        """Return the feature spec (contract: `FEATURE_SPEC`) of a replay of this format."""
        return {
            "sensors": {c.name: [c.lowest, c.highest] for c in self.channels},
            **DEFAULT_FEATURES,
            **self.features,
            "bursts": False,
            "burst_max_age_s": BURST_MAX_AGE_S,
        }


SKAB = RecordingFormat(
    name="skab",
    channels=(
        Channel("Accelerometer1RMS", "accelerometer_1_rms", 0.0, 100.0),
        Channel("Accelerometer2RMS", "accelerometer_2_rms", 0.0, 100.0),
        Channel("Current", "current", -100.0, 100.0),
        Channel("Pressure", "pressure", -20.0, 100.0),
        Channel("Temperature", "temperature", -50.0, 300.0),
        Channel("Thermocouple", "thermocouple", -50.0, 300.0),
        Channel("Voltage", "voltage", -500.0, 1_000.0),
        Channel("Volume Flow RateRMS", "volume_flow_rate_rms", -100.0, 1_000.0),
    ),
    delimiter=";",
    time_column="datetime",
    label_column="anomaly",
    unlabelled_allowed=True,
    history_rows=SKAB_HISTORY_ROWS,
    ignore=("changepoint",),
    features={
        "window_s": SKAB_WINDOW_S,
        "hop_s": SKAB_HOP_S,
        "allowed_lateness_s": SKAB_ALLOWED_LATENESS_S,
    },
    training=SKAB_TRAINING,
)
"""Skoltech Anomaly Benchmark (Katser and Kozitsin 2020): a pump rig with eight sensors at 1 Hz.
The current and pressure transmitters go below zero at rest, hence the bounds."""

BUILT_IN = (SKAB,)


def format_of(folder: Path, first_header: str) -> RecordingFormat:
    """Return the format of a folder: its mapping.toml, else the built-in one that fits.

    ``first_header`` is the first line of its first CSV file. A built-in format fits when the
    delimiter and the time column do. Raises ReplayError.
    """
    path = folder / MAPPING_FILE
    if path.is_file():
        return _read(path)
    for known in BUILT_IN:
        columns = first_header.strip().split(known.delimiter)
        sensors = {channel.column for channel in known.channels}
        if known.time_column in columns and len(sensors & set(columns)) >= len(sensors) / 2:
            return known
    raise ReplayError(
        f"{folder}: columns of no known format; add a {MAPPING_FILE} (docs/replay.md)"
    )


def _read(path: Path) -> RecordingFormat:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ReplayError(f"{path}: not TOML: {error}; correct that line") from None
    _refuse_unknown(path, "", table, KEYS)
    sensors = _typed(path, table, "sensors", dict)
    if not sensors:
        raise ReplayError(f"{path}: sensors: empty; name at least one column")
    features = _typed(path, table, "features", dict, {})
    _refuse_unknown(path, "features.", features, FEATURE_KEYS)
    for key, value in features.items():
        lowest = 0 if key == "allowed_lateness_s" else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
            raise ReplayError(
                f"{path}: features.{key}: {value!r} is out of range; use a whole number of at "
                f"least {lowest}"
            )
    history_rows = _typed(path, table, "history_rows", int, DEFAULT_HISTORY_ROWS)
    if history_rows < 1:
        raise ReplayError(f"{path}: history_rows: {history_rows} is out of range; use at least 1")
    delimiter = _typed(path, table, "delimiter", str, ",")
    if len(delimiter) != 1:
        raise ReplayError(f"{path}: delimiter: {delimiter!r} is not one character")
    channels = tuple(_channel(path, column, item) for column, item in sensors.items())
    _refuse_twins(path, channels)
    return RecordingFormat(
        name=device_word(_typed(path, table, "name", str, path.parent.resolve().name)),
        channels=channels,
        delimiter=delimiter,
        time_column=_typed(path, table, "time_column", str, "time"),
        time_format=_typed(path, table, "time_format", str, "iso"),
        label_column=_typed(path, table, "label_column", str, "") or None,
        history_rows=history_rows,
        ignore=tuple(str(column) for column in _typed(path, table, "ignore", list, [])),
        features=features,
        training={
            key: str(value) for key, value in _typed(path, table, "training", dict, {}).items()
        },
    )


def _channel(path: Path, column: str, item: Any) -> Channel:
    where = f"sensors.{column!r}"
    if not isinstance(item, dict):
        raise ReplayError(f"{path}: {where}: expected a table; write {{lowest = 0, highest = 10}}")
    _refuse_unknown(path, f"{where}.", item, SENSOR_KEYS)
    for key in ("lowest", "highest"):
        if isinstance(item.get(key), bool) or not isinstance(item.get(key), int | float):
            raise ReplayError(f"{path}: {where}.{key}: missing or no number; add the limit")
    if not item["lowest"] < item["highest"]:
        raise ReplayError(f"{path}: {where}: lowest is not below highest; exchange them")
    name = item.get("name", sensor_word(column))
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ReplayError(f"{path}: {where}.name: {name!r} must be like volume_flow_l_min")
    return Channel(column, name, float(item["lowest"]), float(item["highest"]))


def _typed(path: Path, table: Mapping[str, Any], key: str, kind: type, default: Any = None) -> Any:
    value = table.get(key, default)
    if value is None:
        raise ReplayError(f"{path}: {key}: missing; add it (docs/replay.md)")
    if isinstance(value, bool) or not isinstance(value, kind):
        raise ReplayError(f"{path}: {key}: {value!r} has the wrong type (docs/replay.md)")
    return value


def _refuse_unknown(path: Path, prefix: str, table: Iterable[str], known: Iterable[str]) -> None:
    names = list(known)
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
            cure = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(names)}"
            raise ReplayError(f"{path}: {prefix}{key}: unknown key; {cure}")


def _refuse_twins(path: Path, channels: tuple[Channel, ...]) -> None:
    names = [channel.name for channel in channels]
    for name in names:
        if names.count(name) > 1:
            raise ReplayError(f"{path}: sensors: two columns become {name!r}; give them names")


def sensor_word(column: str) -> str:
    """Return a column's title as a sensor name: "Volume Flow RateRMS" is volume_flow_rate_rms."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9])(?=[A-Za-z])|[^A-Za-z0-9]+", "_", column)
    return re.sub(r"_+", "_", spaced).strip("_").lower()


def device_word(text: str) -> str:
    """Return text as part of a device id: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "run"
