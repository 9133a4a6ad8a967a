"""What the pipeline is told by its environment: variable names, and the feature spec.

The infrastructure refers to the names here when it sets the variables of the functions; the
functions read them once, when they are imported. Nothing else configures the pipeline.
"""

from __future__ import annotations

import json
import math
import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pipeline.errors import SettingsError

RAW_BUCKET = "RAW_BUCKET"
PROCESSED_BUCKET = "PROCESSED_BUCKET"
STATE_TABLE = "STATE_TABLE"
DETECTIONS_TABLE = "DETECTIONS_TABLE"
ENDPOINT_NAME = "ENDPOINT_NAME"
ALERT_TOPIC_ARN = "ALERT_TOPIC_ARN"
FEATURE_SPEC = "FEATURE_SPEC"
MAX_FUTURE_S = "MAX_FUTURE_S"
METRIC_NAMESPACE = "METRIC_NAMESPACE"

RAW_WRITER_VARIABLES = (RAW_BUCKET, STATE_TABLE, FEATURE_SPEC, MAX_FUTURE_S, METRIC_NAMESPACE)
DETECTOR_VARIABLES = (
    STATE_TABLE,
    DETECTIONS_TABLE,
    ENDPOINT_NAME,
    PROCESSED_BUCKET,
    ALERT_TOPIC_ARN,
    FEATURE_SPEC,
    MAX_FUTURE_S,
    METRIC_NAMESPACE,
)

BURST_SENSOR = "vibration_burst"
"""The name under which burst features are attributed; no scalar sensor may have it."""

_SENSOR_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_SPEC_KEYS = frozenset(
    {
        "sensors",
        "window_s",
        "hop_s",
        "allowed_lateness_s",
        "bursts",
        "burst_max_age_s",
        "min_count",
        "optional",
        "long_windows_s",
        "statistics",
        "ratios",
        "gap_s",
        "bearing_hz",
    }
)

_EXTENSIBLE = frozenset({"long_windows_s", "statistics", "ratios", "gap_s", "bearing_hz"})

STATISTICS = ("mean", "std", "slope", "min", "max", "difference", "ewma")
"""Per sensor and window: mean, deviation (divided by n), trend per second, lowest, highest,
newest reading less the one before it, exponentially weighted mean."""
DEFAULT_STATISTICS = ("mean", "std", "slope")


@dataclass(frozen=True)
class FeatureSpec:
    """What is computed from a device's readings: sensors, windows and lateness.

    ``limits`` has the lowest and highest physically possible value of each sensor. A reading may
    come without the ``optional`` sensors: not every kind of machine has them, or they fail. All
    times are whole milliseconds, so that windows are compared as integers.

    ``long_windows_ms`` are further windows of the same statistics. ``ratios`` are pairs of
    sensors whose means are divided. With ``gap_ms`` above 0, steps between readings longer than
    that are counted. ``bearing_hz`` names frequencies (of a bearing's defects, at the machine's
    speed) at which the bursts' envelope is measured.
    """

    sensors: tuple[str, ...]
    limits: tuple[tuple[float, float], ...]
    window_ms: int = 60_000
    hop_ms: int = 10_000
    allowed_lateness_ms: int = 10_000
    bursts: bool = True
    burst_max_age_ms: int = 900_000
    min_count: int = 5
    optional: tuple[str, ...] = ()
    long_windows_ms: tuple[int, ...] = ()
    statistics: tuple[str, ...] = DEFAULT_STATISTICS
    ratios: tuple[tuple[str, str], ...] = ()
    gap_ms: int = 0
    bearing_hz: tuple[tuple[str, float], ...] = ()

    @classmethod
    def parse(cls, text: str) -> FeatureSpec:
        """Return the spec that a JSON object describes.

        Raises SettingsError, which names the key, when one is missing, unknown or out of range.
        """
        try:
            body = json.loads(text)
        except ValueError as error:
            raise SettingsError(f"{FEATURE_SPEC}: not JSON: {error}") from None
        if not isinstance(body, dict):
            raise SettingsError(f"{FEATURE_SPEC}: must be a JSON object")
        for key in sorted(body.keys() - _SPEC_KEYS):
            raise SettingsError(f"{FEATURE_SPEC}.{key}: unknown key")
        sensors, limits = _sensors(body)
        bursts = body.get("bursts", True)
        if not isinstance(bursts, bool):
            raise SettingsError(f"{FEATURE_SPEC}.bursts: must be true or false")
        min_count = body.get("min_count", 5)
        if type(min_count) is not int or min_count < 1:
            raise SettingsError(f"{FEATURE_SPEC}.min_count: must be a whole number >= 1")
        window_ms = _milliseconds(body, "window_s", 60, lowest_ms=1)
        return cls(
            sensors=sensors,
            limits=limits,
            window_ms=window_ms,
            hop_ms=_milliseconds(body, "hop_s", 10, lowest_ms=1),
            allowed_lateness_ms=_milliseconds(body, "allowed_lateness_s", 10, lowest_ms=0),
            bursts=bursts,
            burst_max_age_ms=_milliseconds(body, "burst_max_age_s", 900, lowest_ms=1),
            min_count=min_count,
            optional=_optional(body, sensors),
            long_windows_ms=_long_windows(body, window_ms),
            statistics=_statistics(body),
            ratios=_ratios(body, sensors),
            gap_ms=_milliseconds(body, "gap_s", 0, lowest_ms=0),
            bearing_hz=_bearings(body),
        )

    def to_json(self) -> str:
        """Return the compact JSON that `parse` reads back to an equal spec."""
        body: dict[str, object] = {
            "sensors": {
                name: list(pair) for name, pair in zip(self.sensors, self.limits, strict=True)
            },
            "window_s": self.window_ms / 1000,
            "hop_s": self.hop_ms / 1000,
            "allowed_lateness_s": self.allowed_lateness_ms / 1000,
            "bursts": self.bursts,
            "burst_max_age_s": self.burst_max_age_ms / 1000,
            "min_count": self.min_count,
        }
        if self.optional:
            body["optional"] = list(self.optional)
        body |= self._extra()
        return json.dumps(body, separators=(",", ":"))

    def _extra(self) -> dict[str, object]:
        """Return the members beyond the basic ones; a spec without them reads as it always did."""
        extra: dict[str, object] = {}
        if self.long_windows_ms:
            extra["long_windows_s"] = [window_ms / 1000 for window_ms in self.long_windows_ms]
        if self.statistics != DEFAULT_STATISTICS:
            extra["statistics"] = list(self.statistics)
        if self.ratios:
            extra["ratios"] = [list(pair) for pair in self.ratios]
        if self.gap_ms:
            extra["gap_s"] = self.gap_ms / 1000
        if self.bearing_hz:
            extra["bearing_hz"] = dict(self.bearing_hz)
        return extra

    def extended(self, text: str) -> FeatureSpec:
        """Return this spec with further features, of which a JSON object has the members.

        Every feature of this spec is one of the extended spec's too. Raises SettingsError.
        """
        try:
            further = json.loads(text)
        except ValueError as error:
            raise SettingsError(f"extra features: not JSON: {error}") from None
        if not isinstance(further, dict):
            raise SettingsError("extra features: must be a JSON object")
        for key in sorted(further.keys() - _EXTENSIBLE):
            raise SettingsError(
                f"extra features: {key!r} is not one of {', '.join(sorted(_EXTENSIBLE))}"
            )
        body = json.loads(self.to_json())
        for key in ("long_windows_s", "statistics", "ratios"):
            given = further.pop(key, [])
            if not isinstance(given, list):
                raise SettingsError(f"extra features: {key} must be a list")
            own = body.get(key, list(DEFAULT_STATISTICS) if key == "statistics" else [])
            body[key] = [*own, *(item for item in given if item not in own)]
        return FeatureSpec.parse(json.dumps({**further, **body}))

    @property
    def reach_ms(self) -> int:
        """How far the longest window reaches back."""
        return max(self.window_ms, *self.long_windows_ms, 0)

    @cached_property
    def sensor_set(self) -> frozenset[str]:
        """The sensors as a set, for validation."""
        return frozenset(self.sensors)

    @cached_property
    def fingerprint(self) -> int:
        """A 32-bit number that changes with the spec; stored states carry it."""
        return zlib.crc32(self.to_json().encode())


def _sensors(
    body: Mapping[str, object],
) -> tuple[tuple[str, ...], tuple[tuple[float, float], ...]]:
    sensors = body.get("sensors")
    if not isinstance(sensors, dict) or not sensors:
        raise SettingsError(f"{FEATURE_SPEC}.sensors: must be an object with at least one sensor")
    limits = []
    for name, pair in sensors.items():
        where = f"{FEATURE_SPEC}.sensors.{name}"
        if not _SENSOR_NAME.fullmatch(name) or name == BURST_SENSOR:
            raise SettingsError(f"{where}: not a usable name (letters, digits, '_', at most 64)")
        if not (isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair))):
            raise SettingsError(f"{where}: must be [lowest, highest]")
        if not pair[0] < pair[1]:
            raise SettingsError(f"{where}: lowest must be below highest")
        limits.append((float(pair[0]), float(pair[1])))
    # Parquet readers and the Glue catalog do not tell names apart by case.
    if len({name.lower() for name in sensors}) < len(sensors):
        raise SettingsError(f"{FEATURE_SPEC}.sensors: two names differ only in case")
    return tuple(sensors), tuple(limits)


def _optional(body: Mapping[str, object], sensors: tuple[str, ...]) -> tuple[str, ...]:
    names = body.get("optional", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SettingsError(f"{FEATURE_SPEC}.optional: must be a list of sensors")
    for name in names:
        if name not in sensors:
            raise SettingsError(f"{FEATURE_SPEC}.optional: no sensor {name!r}")
    return tuple(names)


def _long_windows(body: Mapping[str, object], window_ms: int) -> tuple[int, ...]:
    given = body.get("long_windows_s", [])
    where = f"{FEATURE_SPEC}.long_windows_s"
    if not isinstance(given, list):
        raise SettingsError(f"{where}: must be a list of seconds")
    found = [
        _milliseconds({"long_windows_s": value}, "long_windows_s", 0, lowest_ms=1)
        for value in given
    ]
    if any(long_ms <= window_ms for long_ms in found):
        raise SettingsError(f"{where}: must be longer than window_s ({window_ms / 1000:g} s)")
    if len(set(found)) < len(found):
        raise SettingsError(f"{where}: a window is there twice")
    return tuple(found)


def _statistics(body: Mapping[str, object]) -> tuple[str, ...]:
    names = body.get("statistics", list(DEFAULT_STATISTICS))
    if not isinstance(names, list) or not names or len(set(map(str, names))) < len(names):
        raise SettingsError(f"{FEATURE_SPEC}.statistics: must be a list of different names")
    for name in names:
        if name not in STATISTICS:
            raise SettingsError(
                f"{FEATURE_SPEC}.statistics: {name!r} is not one of {', '.join(STATISTICS)}"
            )
    return tuple(names)


def _ratios(body: Mapping[str, object], sensors: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    pairs = body.get("ratios", [])
    where = f"{FEATURE_SPEC}.ratios"
    if not isinstance(pairs, list):
        raise SettingsError(f"{where}: must be a list of [sensor, sensor]")
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and pair[0] != pair[1]):
            raise SettingsError(f"{where}: {pair!r} is not [sensor, sensor]")
        for name in pair:
            if name not in sensors:
                raise SettingsError(f"{where}: no sensor {name!r}")
    found = tuple((above, below) for above, below in pairs)
    if len(set(found)) < len(found):
        raise SettingsError(f"{where}: a pair is there twice")
    return found


def _bearings(body: Mapping[str, object]) -> tuple[tuple[str, float], ...]:
    given = body.get("bearing_hz", {})
    where = f"{FEATURE_SPEC}.bearing_hz"
    if not isinstance(given, dict):
        raise SettingsError(f"{where}: must be an object of name and Hz")
    for name, hz in given.items():
        if not _SENSOR_NAME.fullmatch(name):
            raise SettingsError(f"{where}.{name}: not a usable name")
        if not _is_number(hz) or hz <= 0:
            raise SettingsError(f"{where}.{name}: must be a frequency above 0 Hz")
    return tuple((name, float(hz)) for name, hz in given.items())


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _milliseconds(body: Mapping[str, object], key: str, default_s: float, *, lowest_ms: int) -> int:
    value = body.get(key, default_s)
    if not _is_number(value):
        raise SettingsError(f"{FEATURE_SPEC}.{key}: must be a number of seconds")
    exact_ms = float(value) * 1000  # type: ignore[arg-type]
    if exact_ms < lowest_ms or exact_ms > 1e9 or abs(exact_ms - round(exact_ms)) > 1e-6:
        raise SettingsError(
            f"{FEATURE_SPEC}.{key}: must be whole milliseconds of at least {lowest_ms} ms"
        )
    return round(exact_ms)


@dataclass(frozen=True)
class RawWriterSettings:
    """What the raw writer is told."""

    raw_bucket: str
    state_table: str
    spec: FeatureSpec
    max_future_s: float
    metric_namespace: str

    @classmethod
    def from_environment(cls, env: Mapping[str, str] | None = None) -> RawWriterSettings:
        """Read the settings from environment variables; raises SettingsError."""
        env = os.environ if env is None else env
        return cls(
            raw_bucket=text(env, RAW_BUCKET),
            state_table=text(env, STATE_TABLE),
            spec=FeatureSpec.parse(text(env, FEATURE_SPEC)),
            max_future_s=number(env, MAX_FUTURE_S),
            metric_namespace=text(env, METRIC_NAMESPACE),
        )


@dataclass(frozen=True)
class DetectorSettings:
    """What the detector is told."""

    state_table: str
    detections_table: str
    endpoint_name: str
    processed_bucket: str
    alert_topic_arn: str
    spec: FeatureSpec
    max_future_s: float
    metric_namespace: str

    @classmethod
    def from_environment(cls, env: Mapping[str, str] | None = None) -> DetectorSettings:
        """Read the settings from environment variables; raises SettingsError."""
        env = os.environ if env is None else env
        return cls(
            state_table=text(env, STATE_TABLE),
            detections_table=text(env, DETECTIONS_TABLE),
            endpoint_name=text(env, ENDPOINT_NAME),
            processed_bucket=text(env, PROCESSED_BUCKET),
            alert_topic_arn=text(env, ALERT_TOPIC_ARN),
            spec=FeatureSpec.parse(text(env, FEATURE_SPEC)),
            max_future_s=number(env, MAX_FUTURE_S),
            metric_namespace=text(env, METRIC_NAMESPACE),
        )


def text(env: Mapping[str, str], name: str) -> str:
    """Return a variable that must be set and not empty; raises SettingsError."""
    value = env.get(name, "")
    if not value:
        raise SettingsError(f"{name}: the environment variable is not set")
    return value


def number(env: Mapping[str, str], name: str) -> float:
    """Return a variable that must be a number >= 0; raises SettingsError."""
    value = text(env, name)
    try:
        parsed = float(value)
    except ValueError:
        parsed = math.nan
    if not (math.isfinite(parsed) and parsed >= 0):
        raise SettingsError(f"{name}: must be a number >= 0, not {value!r}")
    return parsed
