"""Settings come from the environment, and a wrong one is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.errors import SettingsError
from pipeline.settings import (
    DETECTOR_VARIABLES,
    RAW_WRITER_VARIABLES,
    DetectorSettings,
    FeatureSpec,
    RawWriterSettings,
)

BODY: dict[str, Any] = {
    "sensors": {"temperature_c": [-40, 200], "pressure_bar": [-1, 40]},
    "window_s": 60,
    "hop_s": 10,
    "allowed_lateness_s": 10,
    "bursts": True,
    "burst_max_age_s": 900,
}


def environment(names: tuple[str, ...]) -> dict[str, str]:
    values = dict.fromkeys(names, "something")
    return {**values, "FEATURE_SPEC": json.dumps(BODY), "MAX_FUTURE_S": "300"}


def test_a_spec_is_parsed_and_written_back_to_an_equal_one() -> None:
    spec = FeatureSpec.parse(json.dumps(BODY))
    assert spec.sensors == ("temperature_c", "pressure_bar")
    assert (spec.window_ms, spec.hop_ms, spec.min_count) == (60_000, 10_000, 5)
    assert FeatureSpec.parse(spec.to_json()) == spec
    assert FeatureSpec.parse(spec.to_json()).fingerprint == spec.fingerprint
    gappy = FeatureSpec.parse(json.dumps({**BODY, "optional": ["pressure_bar"]}))
    assert gappy.optional == ("pressure_bar",)
    assert FeatureSpec.parse(gappy.to_json()) == gappy
    assert gappy.fingerprint != spec.fingerprint


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"window": 60}, r"FEATURE_SPEC\.window: unknown"),
        ({"sensors": {}}, r"FEATURE_SPEC\.sensors"),
        ({"sensors": {"a b": [0, 1]}}, r"FEATURE_SPEC\.sensors\.a b"),
        ({"sensors": {"vibration_burst": [0, 1]}}, "not a usable name"),
        ({"sensors": {"a": [1, 0]}}, "lowest must be below highest"),
        ({"sensors": {"a": [1]}}, r"must be \[lowest, highest\]"),
        ({"sensors": {"a": [0, 1], "A": [0, 1]}}, "differ only in case"),
        ({"window_s": 0}, r"FEATURE_SPEC\.window_s"),
        ({"window_s": "60"}, r"FEATURE_SPEC\.window_s"),
        ({"hop_s": 0.0001}, r"FEATURE_SPEC\.hop_s"),
        ({"allowed_lateness_s": -1}, r"FEATURE_SPEC\.allowed_lateness_s"),
        ({"bursts": 1}, r"FEATURE_SPEC\.bursts"),
        ({"min_count": 0}, r"FEATURE_SPEC\.min_count"),
        ({"optional": "pressure_bar"}, r"FEATURE_SPEC\.optional: must be a list"),
        ({"optional": ["flow"]}, r"FEATURE_SPEC\.optional: no sensor 'flow'"),
    ],
)
def test_a_wrong_spec_is_refused_with_the_name_of_the_key(
    change: dict[str, Any], named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        FeatureSpec.parse(json.dumps({**BODY, **change}))


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_spec_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="FEATURE_SPEC"):
        FeatureSpec.parse(text)


@pytest.mark.parametrize("missing", RAW_WRITER_VARIABLES)
def test_the_raw_writer_names_the_variable_that_is_missing(missing: str) -> None:
    env = environment(RAW_WRITER_VARIABLES)
    assert RawWriterSettings.from_environment(env).max_future_s == 300
    del env[missing]
    with pytest.raises(SettingsError, match=missing):
        RawWriterSettings.from_environment(env)


@pytest.mark.parametrize("missing", DETECTOR_VARIABLES)
def test_the_detector_names_the_variable_that_is_missing(missing: str) -> None:
    env = environment(DETECTOR_VARIABLES)
    assert DetectorSettings.from_environment(env).endpoint_name == "something"
    del env[missing]
    with pytest.raises(SettingsError, match=missing):
        DetectorSettings.from_environment(env)


@pytest.mark.parametrize("value", ["soon", "nan", "-1"])
def test_a_limit_of_the_future_that_is_no_number_is_refused(value: str) -> None:
    env = {**environment(RAW_WRITER_VARIABLES), "MAX_FUTURE_S": value}
    with pytest.raises(SettingsError, match="MAX_FUTURE_S"):
        RawWriterSettings.from_environment(env)
