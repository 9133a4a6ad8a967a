"""Replay: recorded runs become devices, and what cannot be read is refused by file and line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ReplayError
from simulator.fleet.delivery import Message
from simulator.fleet.mapping import SKAB, device_word, sensor_word
from simulator.fleet.recording import Recording
from simulator.fleet.replay import Replay

SKAB_DATA = Path(__file__).parents[4] / "shared" / "data" / "skab"
MAPPING = """
time_column = "t"
label_column = "fault"
history_rows = 3
ignore = ["note"]
[sensors]
"Oil Temp" = { lowest = 0, highest = 100 }
p = { name = "pressure_bar", lowest = 0, highest = 10 }
[features]
window_s = 5
"""
HEADER = "t,Oil Temp,p,note,fault"


def rows(start: int, count: int, faulty: tuple[int, ...] = ()) -> list[str]:
    minute, second = divmod(start, 60)
    return [
        f"2026-01-05 10:{minute:02d}:{second + i:02d},{20 + i},{i / 10},x,{int(i in faulty)}"
        for i in range(count)
    ]


def folder(tmp_path: Path, mapping: str = MAPPING, **files: list[str]) -> Path:
    path = tmp_path / "Mill 7"
    path.mkdir(exist_ok=True)
    if mapping:
        (path / "mapping.toml").write_text(mapping)
    for name, lines in files.items():
        (path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return path


def two_runs(tmp_path: Path) -> Path:
    return folder(
        tmp_path,
        run2=[HEADER, *rows(60, 10, faulty=(4, 5, 8))],
        run10=[HEADER, *rows(300, 8)],
    )


def publish_all(recording: Recording, resume_at_s: float) -> tuple[Replay, list[Message], int]:
    env = simpy.Environment()
    seen: list[Message] = []

    def publish(batch: Sequence[Message]) -> SimpleNamespace:
        seen.extend(batch)
        return SimpleNamespace(delivered=len(batch), discarded=0)

    replay = Replay(recording, env, recording.start.timestamp(), publish)
    replay.start()
    env.run(replay.history_over)
    env.run(until=resume_at_s)
    held = len(seen)
    replay.resume()
    env.run(replay.finished)
    return replay, seen, held


def refusal(path: Path) -> str:
    with pytest.raises(ReplayError) as caught:
        Recording.load(path)
    return str(caught.value)


def test_runs_become_devices_in_natural_order_on_a_common_start(tmp_path: Path) -> None:
    recording = Recording.load(two_runs(tmp_path))
    assert recording.devices == ("mill-7-mill-7-run2", "mill-7-mill-7-run10")
    assert recording.start.isoformat() == "2026-01-05T10:01:00+00:00"
    assert [run.times_ms[0] for run in recording.runs] == [0, 0]
    assert (recording.history_s, recording.live_from_s, recording.live_s) == (2.0, 3.0, 6.0)
    assert recording.readings == 18


def test_the_live_part_waits_until_the_model_is_in_service(tmp_path: Path) -> None:
    recording = Recording.load(two_runs(tmp_path))
    replay, seen, held = publish_all(recording, resume_at_s=500.0)
    assert held == 6
    assert all(message.at_s < 4.0 for message in seen[:held])
    assert all(message.at_s >= 500.0 for message in seen[held:])
    base_ms = round(recording.start.timestamp() * 1_000)
    for run in recording.runs:
        bodies = [json.loads(m.payload) for m in seen if m.client_id == run.device_id]
        assert [body["seq"] for body in bodies] == list(range(len(bodies)))
        assert [b["event_time_ms"] - base_ms for b in bodies] == run.times_ms.tolist()
        assert [list(b["values"].values()) for b in bodies] == run.values.tolist()
    assert replay.counters.readings.published == replay.counters.readings.delivered == 18


def test_labels_become_intervals_and_never_travel(tmp_path: Path) -> None:
    replay, seen, _ = publish_all(Recording.load(two_runs(tmp_path)), resume_at_s=20.0)
    base_ms = round(replay.recording.start.timestamp() * 1_000)
    spans = [(f.start_ms - base_ms, f.end_ms - base_ms) for f in replay.truth.intervals]
    assert spans == [(4_000, 5_000), (8_000, 8_000)]
    assert {f.category for f in replay.truth.intervals} == {"recorded"}
    assert replay.truth.live_ms["mill-7-mill-7-run2"] == (base_ms + 3_000, base_ms + 9_000)
    for message in seen:
        assert set(json.loads(message.payload)["values"]) == {"oil_temp", "pressure_bar"}


def test_the_feature_spec_has_the_mapping_s_sensors_and_windows(tmp_path: Path) -> None:
    spec = Recording.load(two_runs(tmp_path)).feature_spec()
    assert spec == {
        "sensors": {"oil_temp": [0.0, 100.0], "pressure_bar": [0.0, 10.0]},
        "window_s": 5,
        "hop_s": 10,
        "allowed_lateness_s": 10,
        "bursts": False,
        "burst_max_age_s": 900,
    }


def changed(line: int, text: str) -> list[str]:
    lines = [HEADER, *rows(0, 10)]
    lines[line - 1] = text
    return lines


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (changed(5, "2026-01-05 10:00:03,x,1,n,0"), "line 5: Oil Temp is 'x', not a number"),
        (changed(5, "2026-01-05 10:00:03,1,,n,0"), "line 5: p is '', not a number"),
        (changed(5, "2026-01-05 10:00:03,nan,1,n,0"), "line 5: Oil Temp is 'nan', not a number"),
        (changed(5, "2026-01-05 10:00:03,1,1,n"), "line 5: 4 columns instead of 5"),
        (changed(5, "yesterday,1,1,n,0"), "line 5: time 'yesterday' does not fit 'iso'"),
        (
            changed(5, "2026-01-05 10:00:02,1,1,n,0"),
            "line 5: time '2026-01-05 10:00:02' repeats the row before; sort the rows",
        ),
        (
            changed(5, "2026-01-05 09:00:02,1,1,n,0"),
            "line 5: time '2026-01-05 09:00:02' is before the row before; sort the rows",
        ),
        (changed(1, "t,p,note,fault"), "line 1: no column 'Oil Temp'; add it"),
        (changed(1, "t,Oil Temp,p,note"), "line 1: no column 'fault'; add it"),
        (changed(1, "t,Oil Temp,p,p,fault"), "line 1: column 'p' twice; remove one"),
        (changed(1, "t,Oil Temp,p,who,fault"), "line 1: column 'who' is not in the mapping"),
        ([HEADER], "line 1: no rows below the header"),
        ([HEADER, *rows(0, 3)], "line 4: ends after 3 rows, of which 3 are for training"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_line_and_cure(
    tmp_path: Path, lines: list[str], message: str
) -> None:
    path = folder(tmp_path, bad=lines)
    assert refusal(path).startswith(f"{path / 'bad.csv'}: {message}")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("sensors = [", "not TOML"),
        (MAPPING.replace("label_column", "labels_column"), "labels_column: unknown key; did you"),
        (MAPPING.replace("window_s = 5", "window = 5"), "features.window: unknown key; did you"),
        (MAPPING.replace("window_s = 5", "window_s = 0"), "features.window_s: 0 is out of range"),
        (MAPPING.replace("highest = 10 ", "highest = 0 "), "sensors.'p': lowest is not below"),
        (MAPPING.replace(", highest = 10 }", " }"), "sensors.'p'.highest: missing or no number"),
        (MAPPING.replace("pressure_bar", "oil_temp"), "sensors: two columns become 'oil_temp'"),
        ("history_rows = 3", "sensors: missing; add it"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(
    tmp_path: Path, mapping: str, message: str
) -> None:
    path = folder(tmp_path, mapping, run=[HEADER, *rows(0, 10)])
    assert refusal(path).startswith(f"{path / 'mapping.toml'}: {message}")


def test_a_folder_without_runs_or_without_a_known_format_is_refused(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nowhere")
    assert "holds no *.csv file" in refusal(folder(tmp_path))
    (tmp_path / "Mill 7" / "mapping.toml").unlink()
    path = folder(tmp_path, "", run=[HEADER, *rows(0, 10)])
    assert "columns of no known format; add a mapping.toml" in refusal(path)


def test_skab_titles_become_the_names_that_the_rule_for_titles_gives() -> None:
    for channel in SKAB.channels:
        assert sensor_word(channel.column) == channel.name


@given(text=st.text())
def test_every_title_can_be_part_of_a_device_id(text: str) -> None:
    word = device_word(text)
    assert word
    assert set(word) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


@pytest.mark.skipif(not SKAB_DATA.is_dir(), reason="the SKAB data set is not on this machine")
def test_the_skab_runs_replay_with_their_sixteen_labels() -> None:
    recording = Recording.load(SKAB_DATA / "valve1")
    assert recording.devices[:3] == ("skab-valve1-0", "skab-valve1-1", "skab-valve1-2")
    assert {run.history_rows for run in recording.runs} == {400}
    for run in recording.runs:
        for channel, column in zip(SKAB.channels, run.values.T, strict=True):
            assert channel.lowest <= column.min() <= column.max() <= channel.highest
    replay, seen, held = publish_all(recording, resume_at_s=3_000.0)
    assert held == 16 * 400
    assert len(seen) == recording.readings == 18_160
    assert len(replay.truth.intervals) == 16


@pytest.mark.skipif(not SKAB_DATA.is_dir(), reason="the SKAB data set is not on this machine")
def test_a_skab_run_without_label_columns_is_healthy() -> None:
    recording = Recording.load(SKAB_DATA / "anomaly-free")
    assert [run.faults for run in recording.runs] == [()]
