"""The mapping file of an import: what the columns of somebody else's history mean.

TOML to frozen dataclasses; unknown keys and impossible values are refused with the path to the
key. `docs/import.md` shows one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.errors import JobInputError

FORMATS = ("csv", "parquet", "text")
UNITS: Mapping[str, tuple[float, float]] = {
    "degF_to_degC": (5 / 9, -160 / 9),
    "K_to_degC": (1.0, -273.15),
    "psi_to_bar": (0.0689475729, 0.0),
    "kPa_to_bar": (0.01, 0.0),
    "in_s_to_mm_s": (25.4, 0.0),
    "mA_to_A": (0.001, 0.0),
}
"""Named conversions as (scale, offset): value * scale + offset."""
TIME_UNITS = {"s": 1_000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
"""Milliseconds in a unit of a numeric time column."""

EXAMPLE = """\
# What the columns of a folder of history mean; see docs/import.md.
[files]
include = ["*.csv"]            # names below the folder; what does not match is left alone
format = "csv"                 # csv, text (columns between blanks, no header) or parquet
delimiter = ","

[device]
id = "{stem}"                  # of the file: {stem} its name, {folder} the folder it is in
# column = "machine"           # or a column that says it

[time]
column = "timestamp"
format = "%Y-%m-%d %H:%M:%S"   # or unit = "s" (ms, us, ns) for a number since 1970
timezone = "UTC"
# start = 2026-01-05T00:00:00Z # or, where no column tells the time: the first row's,
# period_s = 1.0               # and the time between two rows

[sensors]
temperature_c = "Temperature"
pressure_bar = { column = "Pressure", convert = "psi_to_bar" }
current_a = { column = "Current", scale = 0.001, offset = 0.0 }
"""


@dataclass(frozen=True)
class Sensor:
    """Where a sensor's values are: ``column * scale + offset``."""

    name: str
    column: str
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class ImportMapping:
    """What one import's files hold."""

    include: tuple[str, ...]
    format: str
    delimiter: str
    decimal: str
    encoding: str
    device_id: str
    device_column: str
    time_column: str
    time_format: str
    time_unit: str
    timezone: str
    start: datetime | None
    period_s: float
    sensors: tuple[Sensor, ...]

    def wants(self, path: str) -> bool:
        """Tell whether a file belongs to the import; ``path`` is relative to the folder."""
        name = PurePosixPath(path).name
        return any(fnmatchcase(path, one) or fnmatchcase(name, one) for one in self.include)

    def device_of(self, path: str) -> str:
        """Return the device of a file, where no column says it."""
        file = PurePosixPath(path)
        folder = file.parent.name
        return self.device_id.replace("{stem}", file.stem).replace("{folder}", folder)

    @property
    def columns(self) -> list[str]:
        """Every column that a file must have."""
        named = [self.device_column, self.time_column, *(one.column for one in self.sensors)]
        return [name for name in dict.fromkeys(named) if name]


def parse_mapping(text: str) -> ImportMapping:
    """Return a mapping file's content; raises JobInputError with the path of the key."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise JobInputError(f"mapping: {error}") from None
    top = _Table(given, "", ("files", "device", "time", "sensors"))
    files = top.table("files", ("include", "format", "delimiter", "decimal", "encoding"))
    device = top.table("device", ("id", "column"))
    time = top.table("time", ("column", "format", "unit", "timezone", "start", "period_s"))
    include = files.get("include", ["*"])
    if not isinstance(include, list) or not include or not all(isinstance(i, str) for i in include):
        raise JobInputError("files.include: must be a list of patterns such as '*.csv'")
    start = time.values.get("start")
    if start is not None and not isinstance(start, datetime):
        raise JobInputError("time.start: must be a time such as 2026-01-05T00:00:00Z")
    mapping = ImportMapping(
        include=tuple(include),
        format=files.one_of("format", "csv", FORMATS),
        delimiter=files.text("delimiter", ","),
        decimal=files.one_of("decimal", ".", (".", ",")),
        encoding=files.text("encoding", "utf-8"),
        device_id=device.text("id", ""),
        device_column=device.text("column", ""),
        time_column=time.text("column", ""),
        time_format=time.text("format", ""),
        time_unit=time.one_of("unit", "", ("", *TIME_UNITS)),
        timezone=time.text("timezone", "UTC"),
        start=start if start is None or start.tzinfo else start.replace(tzinfo=UTC),
        period_s=time.number("period_s", 0.0),
        sensors=_sensors(top.table("sensors", None)),
    )
    _check(mapping)
    return mapping


def _check(mapping: ImportMapping) -> None:
    if bool(mapping.device_id) == bool(mapping.device_column):
        raise JobInputError("device: give either id or column")
    if bool(mapping.time_column) == (mapping.start is not None):
        raise JobInputError("time: give either column, or start and period_s")
    if mapping.start is not None and mapping.period_s <= 0:
        raise JobInputError("time.period_s: must be above 0")
    if mapping.time_format and mapping.time_unit:
        raise JobInputError("time: give either format (a text) or unit (a number)")
    if len(mapping.delimiter) != 1:
        raise JobInputError(f"files.delimiter: {mapping.delimiter!r} is not one character")
    try:
        ZoneInfo(mapping.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise JobInputError(f"time.timezone: there is no zone {mapping.timezone!r}") from None
    try:
        "".encode(mapping.encoding)
    except LookupError:
        raise JobInputError(f"files.encoding: {mapping.encoding!r} is not known") from None


def _sensors(table: _Table) -> tuple[Sensor, ...]:
    if not table.values:
        raise JobInputError('sensors: name at least one, such as temperature_c = "Temperature"')
    found = []
    for name, given in table.values.items():
        if isinstance(given, str):
            found.append(Sensor(name, given))
            continue
        one = table.table(name, ("column", "convert", "scale", "offset"))
        convert = one.one_of("convert", "", ("", *UNITS))
        if convert and {"scale", "offset"} & set(one.values):
            raise JobInputError(f"sensors.{name}: give either convert, or scale and offset")
        scale, offset = UNITS.get(convert, (one.number("scale", 1.0), one.number("offset", 0.0)))
        column = one.text("column", "")
        if not column:
            raise JobInputError(f"sensors.{name}.column: is missing")
        found.append(Sensor(name, column, scale, offset))
    return tuple(found)


class _Table:
    """A table of the file that knows its path and refuses keys that it does not know."""

    def __init__(self, values: Any, path: str, known: Sequence[str] | None) -> None:
        if not isinstance(values, dict):
            raise JobInputError(f"{path}: must be a table")
        self.values, self._path = values, path
        for key in values if known is not None else ():
            if key not in (known or ()):
                close = get_close_matches(key, known or (), 1)
                hint = (
                    f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known or ())}"
                )
                raise JobInputError(f"{self._at(key)}: unknown key; {hint}")

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def table(self, key: str, known: Sequence[str] | None) -> _Table:
        return _Table(self.values.get(key, {}), self._at(key), known)

    def get(self, key: str, default: Any) -> Any:
        return self.values.get(key, default)

    def text(self, key: str, default: str) -> str:
        value = self.values.get(key, default)
        if not isinstance(value, str):
            raise JobInputError(f"{self._at(key)}: must be a text")
        return value

    def one_of(self, key: str, default: str, allowed: Sequence[str]) -> str:
        value = self.text(key, default)
        if value not in allowed:
            listed = ", ".join(repr(one) for one in allowed if one)
            raise JobInputError(f"{self._at(key)}: {value!r} is not one of {listed}")
        return value

    def number(self, key: str, default: float) -> float:
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise JobInputError(f"{self._at(key)}: must be a number")
        return float(value)
