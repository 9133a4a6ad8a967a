"""`fleetwin import`: a folder through DataSync into the raw zone, asked by SQL, to features."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result

from pipeline.etl.arrow_kernel import Computation, compute_features
from pipeline.etl.raw_objects import parse_objects
from pipeline.settings import FeatureSpec
from simulator.cli_commands import app
from simulator.errors import SimulatorError
from simulator.lake import lake_of
from simulator.targets import ROOT

DATA = ROOT.parent / "shared" / "data"
EXAMPLES = ROOT / "examples" / "import"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the recorded data sets are not here")

MAPPING = """
[files]
include = ["*.csv"]
[device]
id = "pump-{stem}"
[time]
column = "t"
unit = "s"
[sensors]
temperature_c = "temp"
"""


def run(*words: object) -> Result:
    result = CliRunner().invoke(app, ["import", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    mapping = folder.parent / "mapping.toml"
    mapping.write_text(MAPPING)
    return mapping


def rows(state: Path, sql: str) -> list[tuple[Any, ...]]:
    return lake_of(state).run(sql).rows


T = 1_767_571_200
"""2026-01-05 00:00 UTC."""
COUNT = "SELECT device_id, count(*), sum(\"values\"['temperature_c']) FROM telemetry_raw GROUP BY 1"


def test_a_folder_arrives_once_and_what_is_broken_is_told(tmp_path: Path) -> None:
    folder, state = tmp_path / "plant", tmp_path / "state"
    mapping = write(folder, a=f"t,temp\n{T},20\n{T + 1},21\n{T + 7200},22\n", b=f"t,temp\n{T},30\n")
    first = run(folder, "--mapping", mapping, "--state", state)
    assert "DataSync: SUCCESS, 2 files moved" in first.stdout
    assert "imported: 4 readings of 2 devices in 2 hours, from 2 files" in first.stdout
    assert sorted(rows(state, COUNT)) == [("pump-a", 3, 63.0), ("pump-b", 1, 30.0)]
    again = run(folder, "--mapping", mapping, "--state", state)
    assert "0 files moved" in again.stdout
    assert "2 files unchanged" in again.stdout
    write(folder, b=f"t,temp\n{T},31\n{T + 5},33\n", c="no,columns\n1,2\n")
    with pytest.raises(SimulatorError, match="not everything"):
        run(folder, "--mapping", mapping, "--state", state)
    assert sorted(rows(state, COUNT)) == [("pump-a", 3, 63.0), ("pump-b", 2, 64.0)]
    assert rows(state, "SELECT DISTINCT dt, hour FROM telemetry_raw ORDER BY ALL") == [
        ("2026-01-05", "00"),
        ("2026-01-05", "02"),
    ]


def test_what_files_hold_can_be_seen_before(tmp_path: Path) -> None:
    folder = tmp_path / "plant"
    mapping = write(folder, a="t,temp\n0,20\nx,21\n", c="no,columns\n1,2\n")
    told = run(folder, "--mapping", mapping, "--dry-run").stdout
    assert "a.csv: 1 readings, 1 rows refused" in told
    assert "row 2: t: 'x' is no time" in told
    assert "c.csv: refused: it has no column 't'" in told


def test_the_command_says_what_it_needs(tmp_path: Path) -> None:
    assert "[sensors]" in run("--example").stdout
    with pytest.raises(SimulatorError, match="--example"):
        run(tmp_path)
    with pytest.raises(SimulatorError, match="is no folder"):
        run(tmp_path / "none", "--mapping", "x")
    mapping = write(tmp_path / "plant", a="")
    mapping.write_text("[sensor]\n")
    with pytest.raises(SimulatorError, match="did you mean 'sensors'"):
        run(tmp_path / "plant", "--mapping", mapping, "--state", tmp_path / "state")


def features_of(state: Path, sensor: str, window_s: int) -> list[dict[str, Any]]:
    """Return the features that the job's own parser and kernel make of what was imported."""
    settings = {
        "sensors": {sensor: [-1e6, 1e6]},
        "window_s": window_s,
        "hop_s": window_s // 2,
        "allowed_lateness_s": 0,
        "bursts": False,
    }
    spec = FeatureSpec.parse(json.dumps(settings))
    files = sorted((state / "s3").rglob("import-*.jsonl.gz"))
    contents = pa.array([file.read_bytes() for file in files], pa.binary())
    objects = pa.record_batch({"path": [str(file) for file in files], "content": contents})
    made = compute_features(parse_objects([objects], spec), Computation(spec, 0, 1 << 43))
    return [row for batch in made for row in batch.to_pylist()]


@needs_data
@pytest.mark.parametrize(
    ("name", "folder", "devices", "readings", "sensor", "low", "high", "window_s"),
    [
        ("skab", "skab", 17, 27_565, "temperature_c", 60, 95, 60),
        ("tep", "tep", 11, 10_560, "reactor_temperature_c", 110, 130, 3_600),
        ("nab", "nab/realKnownCause", 1, 22_683, "value", 0, 120, 3_600),
    ],
)
def test_recorded_data_sets_are_imported_asked_and_parsed_by_the_job(
    tmp_path: Path,
    name: str,
    folder: str,
    devices: int,
    readings: int,
    sensor: str,
    low: float,
    high: float,
    window_s: int,
) -> None:
    state = tmp_path / "state"
    run(DATA / folder, "--mapping", EXAMPLES / f"{name}.toml", "--state", state, "--name", name)
    found = rows(
        state,
        f"SELECT count(DISTINCT device_id), count(*), avg(\"values\"['{sensor}']) "
        "FROM telemetry_raw",
    )
    assert found[0][:2] == (devices, readings)
    assert low < found[0][2] < high
    made = features_of(state, sensor, window_s)
    assert len({row["device_id"] for row in made if row["device_id"]}) == devices
    means = [row[f"{sensor}_mean"] for row in made if row["event_time_ms"] is not None]
    assert len(means) > 100
    assert low < sum(means) / len(means) < high
    assert sum(row["readings"] or 0 for row in made) == readings
