"""A retraining leaves out what was not healthy: alarms, what awaits repair; never common drift."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ModelNotReady
from pipeline.features import feature_names
from pipeline.model import artefact, evaluate, healthy_rows, train
from pipeline.model.alarms import Alarm, alarms_by_device, rule_of, scored
from pipeline.model.artefact import Artefact
from pipeline.model.dataset import Dataset
from pipeline.model.healthy_rows import LeftOut, left_out_of_alarms, rows_in
from pipeline.partitions import HOUR_MS
from pipeline.tests import healthy
from pipeline.tests.test_model_evaluation import fit, pack
from pipeline.tests.test_model_training import write

UNITS, HOURS = 5, 4
HOP_MS = healthy.SPEC.hop_ms
ROWS = HOURS * HOUR_MS // HOP_MS
FAULT = 8.0 * np.eye(healthy.WIDTH)[3]
"""Heat too high for the load: by what a row moves in a fault."""


def blank(units: int = UNITS, hours: int = HOURS, hop_ms: int = 60_000) -> Dataset:
    """Return rows whose times alone count."""
    rows = hours * HOUR_MS // hop_ms
    names = [f"m{unit}" for unit in range(units) for _ in range(rows)]
    times = np.tile(np.arange(rows, dtype=np.int64) * hop_ms, units)
    return Dataset(names, times, np.zeros((len(names), 1)))


def found(
    data: Dataset,
    alarms: dict[str, list[Alarm]],
    orders: dict[str, list[int]] | None = None,
    margin_ms: int = 0,
    repair_ms: int = 0,
    start_ms: int = 0,
) -> LeftOut:
    finished = {name: np.array(times, np.int64) for name, times in (orders or {}).items()}
    return left_out_of_alarms(data, alarms, finished, margin_ms, repair_ms, start_ms)


TIMES = st.integers(0, HOURS * HOUR_MS)


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(st.sampled_from(["m0", "m1"]), st.tuples(TIMES, TIMES), min_size=1),
    st.lists(TIMES, max_size=3),
    st.integers(0, HOUR_MS),
    st.integers(0, HOUR_MS),
    TIMES,
)
def test_what_is_left_out_is_an_alarm_its_margin_and_the_time_to_its_order_and_no_other_row(
    spans: dict[str, tuple[int, int]],
    orders: list[int],
    margin_ms: int,
    repair_ms: int,
    start_ms: int,
) -> None:
    """Two machines of five are never a majority."""
    data = blank()
    alarms = {name: [Alarm(min(times), max(times))] for name, times in spans.items()}
    known = {name: sorted(orders) for name in spans}
    left = found(data, alarms, known, margin_ms, repair_ms, start_ms)
    expected = np.zeros(len(data), np.bool_)
    for row, (name, moment) in enumerate(
        zip(data.device_ids, data.event_time_ms.tolist(), strict=True)
    ):
        for alarm in alarms.get(name, ()):
            assert alarm.ended_ms is not None
            later = [at for at in sorted(orders) if at > alarm.since_ms][:1]
            until_ms = max(
                [alarm.ended_ms, *(at for at in later if at <= alarm.ended_ms + repair_ms)]
            )
            inside = alarm.since_ms - margin_ms <= moment <= until_ms + margin_ms
            expected[row] = inside and moment >= start_ms
    assert (left.rows == expected).all()
    assert (rows_in(data, left.spans) == left.rows).all()
    assert left.in_alarm + left.to_repair == left.rows.sum()


@given(st.integers(1, 8), st.integers(0, 8))
def test_an_alarm_of_most_machines_at_once_is_what_has_to_be_learnt(
    units: int, alarmed: int
) -> None:
    data = blank(units, hours=1)
    alarms = {f"m{unit}": [Alarm(0, None)] for unit in range(min(units, alarmed))}
    left = found(data, alarms)
    common = 2 * len(alarms) > units and len(alarms) > 1
    assert left.common_hours == common
    assert left.rows.mean() == (0.0 if common else len(alarms) / units)


def test_an_alarm_that_is_open_at_the_end_leaves_out_all_that_follows() -> None:
    data = blank()
    left = found(data, {"m0": [Alarm(HOUR_MS, None)]}, {"m0": [2 * HOUR_MS]})
    rows = np.array(data.device_ids) == "m0"
    assert (left.rows == rows & (data.event_time_ms >= HOUR_MS)).all()


def test_repairs_of_most_machines_at_once_are_no_sign_of_faults() -> None:
    data = blank()
    alarms = {f"m{unit}": [Alarm(HOUR_MS, HOUR_MS + 60_000 * unit)] for unit in range(4)}
    orders = {name: [3 * HOUR_MS] for name in alarms}
    assert not found(data, alarms, orders, repair_ms=3 * HOUR_MS).rows.any()
    del orders["m2"], orders["m3"]
    left = found(data, alarms, orders, repair_ms=3 * HOUR_MS)
    assert sorted(left.spans) == ["m0", "m1"]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(-5 * HOUR_MS, 2 * HOUR_MS), max_size=5, unique=True))
def test_orders_are_read_back_from_the_features_to_the_millisecond(
    tmp_path_factory: pytest.TempPathFactory, finished: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("orders")
    data = blank(2, hours=3, hop_ms=20_000)
    orders = np.array(sorted(finished), np.int64)
    done = np.searchsorted(orders, data.event_time_ms, side="right")
    last = orders[np.maximum(done - 1, 0)] if len(orders) else np.zeros(len(data), np.int64)
    since_s = np.where(done > 0, (data.event_time_ms - last) / 1000.0, np.nan)
    since_s[np.array(data.device_ids) == "m1"] = np.nan
    table = pa.table(
        {
            "device_id": data.device_ids,
            "event_time_ms": data.event_time_ms,
            healthy_rows.SINCE_ORDER: since_s,
        }
    )
    pq.write_table(table, folder / "rows.parquet")
    read = {name: times.tolist() for name, times in healthy_rows.finished_orders(folder).items()}
    known = [
        at
        for place, at in enumerate(orders.tolist())
        if any(done == place + 1)  # Of two between the same rows the later is told.
    ]
    assert read == ({"m0": known} if known else {})


def shifted(
    data: Dataset, by: np.ndarray[Any, Any], units: range, hours: tuple[float, float]
) -> Dataset:
    names = {f"m{unit}" for unit in units}
    moved = np.array([name in names for name in data.device_ids])
    moved &= (data.event_time_ms >= hours[0] * HOUR_MS) & (data.event_time_ms < hours[1] * HOUR_MS)
    return Dataset(data.device_ids, data.event_time_ms, data.features + np.outer(moved, by))


def alarmed_share(model: Artefact, rows: Dataset, device: str, hours: tuple[float, float]) -> float:
    """Return the share of a machine's rows in some hours that are in an episode."""
    scores, levels = scored(model, rows.device_ids, rows.features)
    alarms = alarms_by_device(rows.device_ids, rows.event_time_ms, scores, levels, rule_of(model))
    spans = {
        name: [(each.since_ms, each.ended_ms or 1 << 60) for each in own]
        for name, own in alarms.items()
    }
    own = np.array(rows.device_ids) == device
    own &= (rows.event_time_ms >= hours[0] * HOUR_MS) & (rows.event_time_ms < hours[1] * HOUR_MS)
    return float(rows_in(rows, spans)[own].mean())


HISTORY = healthy.dataset(1, UNITS, ROWS)
LIVE = healthy.dataset(2, UNITS, ROWS)


class Retraining:
    """A first model of healthy rows, and others of what came after it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.first = fit(folder / "first", HISTORY)
        pack(self.first, folder / "current")

    def of(
        self, name: str, rows: Dataset, *, current: bool = True, **changes: str
    ) -> tuple[Artefact, dict[str, Any]]:
        """Return the model that a training on rows makes, and its card."""
        base = self.folder / name
        if not (base / "model").exists():
            write(rows, base / "train" / "rows.parquet")
            chosen = healthy.chosen(alarm_margin_s="300", **changes)
            train.run(
                {
                    "SM_HPS": json.dumps({key: str(each) for key, each in asdict(chosen).items()}),
                    "SM_CHANNEL_TRAIN": str(base / "train"),
                    "SM_MODEL_DIR": str(base / "model"),
                    "SAGEMAKER_BASE_DIR": str(base),
                    **({"SM_CHANNEL_CURRENT": str(self.folder / "current")} if current else {}),
                }
            )
        card = json.loads((base / "model" / "model_card.json").read_text())
        return artefact.load(base / "model"), card


@cache
def faulty() -> Dataset:
    """Return hours of which in the second and third m0 has a fault."""
    return shifted(LIVE, FAULT, range(1), (1, 3))


@pytest.fixture(scope="module")
def retraining(tmp_path_factory: pytest.TempPathFactory) -> Retraining:
    return Retraining(tmp_path_factory.mktemp("retraining"))


def test_a_retraining_after_a_fault_does_not_learn_the_fault_as_normal(
    retraining: Retraining,
) -> None:
    model, card = retraining.of("gated", faulty())
    assert alarmed_share(model, faulty(), "m0", (1, 3)) > 0.95
    without, _ = retraining.of("ungated", faulty(), current=False)
    assert alarmed_share(without, faulty(), "m0", (1, 3)) < 0.2
    # All other machines are trained on as if nothing had been.
    told = card["left_out"]
    assert set(told["spans"]) <= {f"m{unit}" for unit in range(UNITS)}
    of_others = sum(len(own) for name, own in told["spans"].items() if name != "m0")
    assert of_others <= 1
    assert 0.9 < told["rows"] / (2 * HOUR_MS // HOP_MS) < 1.4
    assert card["training_data"]["rows"] == len(faulty()) - told["rows"]
    for name in ("m0", "m1", "m4"):
        assert alarmed_share(model, LIVE, name, (0, HOURS)) < 0.05


def test_a_drift_of_all_machines_is_learnt(retraining: Retraining) -> None:
    warmer = shifted(LIVE, FAULT, range(UNITS), (0, HOURS))
    model, card = retraining.of("drifted", warmer)
    assert card["left_out"]["rows"] == 0
    assert card["left_out"]["hours_of_a_common_cause"] >= HOURS
    for name in ("m0", "m4"):
        assert alarmed_share(model, warmer, name, (0, HOURS)) < 0.05


def test_rows_from_the_end_of_an_alarm_to_its_work_order_are_left_out(
    retraining: Retraining, tmp_path: Path
) -> None:
    rows = shifted(LIVE, FAULT, range(1), (1, 2))
    table = {"device_id": rows.device_ids, "event_time_ms": rows.event_time_ms}
    names = feature_names(healthy.SPEC)
    table |= {name: rows.features[:, at] for at, name in enumerate(names)}
    done = (rows.event_time_ms >= 3 * HOUR_MS) & (np.array(rows.device_ids) == "m0")
    since_s = np.where(done, (rows.event_time_ms - 3 * HOUR_MS) / 1000.0, np.nan)
    pq.write_table(pa.table(table | {"since_maintenance_s": since_s}), tmp_path / "rows.parquet")
    chosen = healthy.chosen(alarm_margin_s="0")
    data, told = train._rows(tmp_path, str(retraining.folder / "current"), chosen)
    assert told is not None
    m0 = data.event_time_ms[np.array(data.device_ids) == "m0"]
    assert not ((m0 >= 1.1 * HOUR_MS) & (m0 <= 3 * HOUR_MS)).any()
    assert (m0 > 3 * HOUR_MS).sum() == HOUR_MS // HOP_MS
    assert told["rows_until_a_work_order"] > 0.8 * HOUR_MS / HOP_MS
    data, told = train._rows(
        tmp_path,
        str(retraining.folder / "current"),
        healthy.chosen(alarm_margin_s="0", repair_s="60"),
    )
    assert told is not None
    assert told["rows_until_a_work_order"] == 0


def test_an_alarm_that_began_before_the_range_is_known_in_it(retraining: Retraining) -> None:
    rows = shifted(LIVE, FAULT, range(1), (0, HOURS))
    _, card = retraining.of(
        "range", rows, train_start="1970-01-01T02:00:00Z", train_end="1970-01-01T04:00:00Z"
    )
    told = card["left_out"]
    assert told["devices_without_rows"] == ["m0"]
    assert "m0" not in card["training_data"]["devices"]
    assert told["spans"]["m0"] == [[2 * HOUR_MS, 4 * HOUR_MS - HOP_MS]]


def test_what_training_left_out_is_no_healthy_row_for_the_evaluation_either(
    retraining: Retraining, tmp_path: Path
) -> None:
    late = shifted(LIVE, FAULT, range(1), (3, HOURS))
    retraining.of("late", late, holdout_share="0.3")
    given = tmp_path / "processing" / "input"
    pack(retraining.folder / "late" / "model", given / "candidate")
    pack(retraining.first, given / "current")
    write(late, given / "features" / "rows.parquet")
    result = evaluate.run(tmp_path)
    # Each model would call the fault, and three tenths of four machines' time are quiet.
    assert result["candidate"]["false_alarm_episodes"] == 0
    assert result["current"]["false_alarm_episodes"] == 0
    assert result["held_out"]["rows"] < 0.3 * len(late)
    assert result["promote"], result["reasons"]


def test_a_model_without_a_predecessor_is_trained_on_all_rows(retraining: Retraining) -> None:
    card = json.loads((retraining.first / "model_card.json").read_text())
    assert card["left_out"] is None
    assert card["training_data"]["rows"] == len(HISTORY)


def test_a_predecessor_that_cannot_be_read_fails_the_training(
    retraining: Retraining, tmp_path: Path
) -> None:
    (tmp_path / "current").mkdir()
    write(LIVE, tmp_path / "train" / "rows.parquet")
    with pytest.raises(ModelNotReady, match=r"current/model.tar.gz: no archive"):
        train._rows(tmp_path / "train", str(tmp_path / "current"), healthy.chosen())
