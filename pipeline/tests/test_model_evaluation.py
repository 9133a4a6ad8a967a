"""The evaluation job: who may serve, on rows that the candidate has not seen."""

from __future__ import annotations

import json
import math
import re
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.features import feature_names
from pipeline.model import artefact, evaluate, evaluation, train
from pipeline.model.dataset import Dataset
from pipeline.model.evaluation import Metrics
from pipeline.tests import healthy
from pipeline.tests.test_model_training import write
from pipeline.unpacking import unpack

ROWS = 400
DATA = healthy.dataset(5, rows=ROWS)
CUT_MS = int(ROWS * 0.75) * healthy.SPEC.hop_ms


def fit(folder: Path, data: Dataset, **changes: str) -> Path:
    """Train on rows as a training job does; return the model's folder."""
    write(data, folder / "train" / "rows.parquet")
    chosen = {name: str(value) for name, value in asdict(healthy.chosen(**changes)).items()}
    train.run(
        {
            "SM_HPS": json.dumps(chosen),
            "SM_CHANNEL_TRAIN": str(folder / "train"),
            "SM_MODEL_DIR": str(folder / "model"),
            "SAGEMAKER_BASE_DIR": str(folder),
        }
    )
    return folder / "model"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    candidate = fit(folder / "candidate", DATA, holdout_share="0.25")
    made = {"candidate": candidate, "current": fit(folder / "current", DATA, seed="3")}
    for name, threshold in {"deaf": 1e3, "nervous": 1e-3}.items():
        made[name] = folder / name
        shutil.copytree(candidate, made[name])
        stored = artefact.load(candidate)
        spoilt = replace(stored.combination, threshold=threshold)
        artefact.save(replace(stored, combination=spoilt), made[name])
    made["slow"] = folder / "slow"
    shutil.copytree(candidate, made["slow"])
    stored = artefact.load(candidate)
    artefact.save(replace(stored, rule=replace(stored.rule, enter_rows=20)), made["slow"])
    return made


@pytest.fixture
def job(tmp_path: Path, models: dict[str, Path]) -> Callable[..., dict[str, Any]]:
    """Lay out a processing job's input, run it, and return what it wrote, and its message."""

    def run(
        candidate: str, current: str = "", data: Dataset = DATA, labels: str = ""
    ) -> dict[str, Any]:
        given = tmp_path / "processing" / "input"
        for role, name in {"candidate": candidate, "current": current}.items():
            if name:
                pack(models[name], given / role)
        write(data, given / "features" / "dt=2026-01-05" / "rows.parquet")
        if labels:
            (given / "labels").mkdir()
            (given / "labels" / "faults.jsonl").write_text(labels)
        code = evaluate.main({"SAGEMAKER_BASE_DIR": str(tmp_path)})
        found: dict[str, Any] = {"message": (tmp_path / "output" / "message").read_text()}
        written = tmp_path / "processing" / "output" / "evaluation" / "evaluation.json"
        assert written.exists() == (code == 0)
        return found | (json.loads(written.read_text()) if code == 0 else {})

    return run


def pack(model: Path, into: Path) -> None:
    into.mkdir(parents=True)
    with tarfile.open(into / "model.tar.gz", "w:gz") as archive:
        for path in sorted(model.iterdir()):
            archive.add(path, path.name)


Job = Callable[..., dict[str, Any]]


def test_what_is_held_out_is_no_row_that_a_window_of_the_training_overlaps() -> None:
    kept, cut_ms = DATA.hold_out(0.25, healthy.SPEC.reach_ms)
    assert cut_ms == dict.fromkeys(("m0", "m1", "m2"), CUT_MS + healthy.SPEC.hop_ms)
    assert int(kept.event_time_ms.max()) == CUT_MS + healthy.SPEC.hop_ms - healthy.SPEC.reach_ms
    everything, none = DATA.hold_out(0.001, healthy.SPEC.reach_ms)
    assert (len(everything), none) == (len(DATA), {})


@given(st.floats(0.0, 0.5), st.integers(1, 40), st.integers(0, 50_000))
def test_held_out_rows_are_each_machines_last_and_far_from_what_is_trained_on(
    share: float, rows: int, purge_ms: int
) -> None:
    data = healthy.dataset(1, units=2, rows=rows)
    kept, cut_ms = data.hold_out(share, purge_ms)
    for device in ("m0", "m1"):
        times = [
            at
            for name, at in zip(data.device_ids, data.event_time_ms, strict=True)
            if name == device
        ]
        trained = [
            at
            for name, at in zip(kept.device_ids, kept.event_time_ms, strict=True)
            if name == device
        ]
        from_ms = cut_ms.get(device, 1 << 62)
        held = [at for at in times if at >= from_ms]
        assert len(held) == int(rows * share)
        assert trained == [at for at in times if not held or at <= from_ms - max(purge_ms, 1)]


def test_the_card_says_what_was_held_out_and_the_model_knows_none_of_it(
    models: dict[str, Path],
) -> None:
    card = json.loads((models["candidate"] / "model_card.json").read_text())
    assert card["held_out"]["share"] == 0.25
    assert card["held_out"]["from_ms"] == DATA.hold_out(0.25, 10_000)[1]
    assert card["held_out"]["end_ms"] == int(DATA.event_time_ms.max()) + 1
    assert card["training_data"]["rows"] == len(DATA.hold_out(0.25, 10_000)[0])
    assert json.loads((models["current"] / "model_card.json").read_text())["held_out"] is None


def test_a_candidate_that_is_not_worse_is_promoted(job: Job) -> None:
    found = job("candidate", "current")
    assert found["promote"], found["reasons"]
    assert found["message"].startswith("promote: passed: ")
    rows = 3 * ROWS // 4
    assert found["held_out"]["rows"] == found["held_out"]["rows_seen_by_current"] == rows
    assert found["held_out"]["first_ms"] == CUT_MS + healthy.SPEC.hop_ms
    for role in ("candidate", "current"):
        metrics = found[role]
        assert metrics["machine_days"] == pytest.approx(rows * 5 / 86_400)
        assert metrics["probes"] == 3 * len(healthy.SENSORS)
        assert metrics["probes_found"] > 0
        assert metrics["event_recall"] is None
        values = [metrics["score_quantiles"][f"q{q:g}"] for q in evaluation.QUANTILES]
        assert values == sorted(values)


def test_a_candidate_without_a_current_model_is_judged_by_its_false_alarms(job: Job) -> None:
    found = job("candidate")
    assert found["promote"]
    assert found["current"] is None
    assert len(found["reasons"]) == 1


def test_a_candidate_that_alarms_more_than_designed_is_rejected(job: Job) -> None:
    found = job("nervous", "current")
    assert not found["promote"]
    assert found["message"].startswith("reject: failed: ")
    assert found["candidate"]["false_alarm_episodes"] >= 3
    assert [reason.split(":")[0] for reason in found["reasons"]] == ["failed", "passed"]


def test_a_candidate_that_never_alarms_is_rejected_without_a_label(job: Job) -> None:
    found = job("deaf", "current")
    assert not found["promote"]
    assert found["candidate"]["false_alarm_episodes"] == found["candidate"]["probes_found"] == 0
    assert [reason.split(":")[0] for reason in found["reasons"]] == ["passed", "failed"]


def test_labelled_events_are_no_false_alarms_and_one_in_the_training_does_not_count(
    job: Job,
) -> None:
    start, end = ROWS - 60, ROWS - 20
    features = DATA.features.copy()
    features[start:end, 0] += 30.0
    events = [("m0", start, end), ("m1", 10, 20)]
    labels = "\n".join(
        json.dumps({"device_id": device, "start_ms": first * 5_000, "end_ms": last * 5_000})
        for device, first, last in events
    )
    found = job("deaf", "candidate", replace(DATA, features=features), labels)
    assert found["current"]["events"] == found["current"]["events_found"] == 1
    assert 0 < found["current"]["median_delay_s"] < 60
    assert found["candidate"]["events_found"] == 0
    assert found["held_out"] | {"labels": 2, "labels_not_unseen": 1} == found["held_out"]
    assert not found["promote"]
    assert "failed: 0 of 1 labelled events" in found["message"]


def _fault(first: int, last: int) -> Dataset:
    """Return the data with a fault of m0 in these rows."""
    features = DATA.features.copy()
    features[first:last, 0] += 30.0
    return replace(DATA, features=features)


def _line(first: int, last: int, **more: int) -> str:
    times = {"start_ms": first * 5_000, "end_ms": last * 5_000}
    return json.dumps({"device_id": "m0", **times, **more})


def test_a_candidate_that_finds_the_probes_is_rejected_for_the_event_that_it_misses(
    job: Job,
) -> None:
    first, last = ROWS - 40, ROWS - 25
    found = job("slow", "candidate", _fault(first, last), _line(first, last))
    assert [reason.split(":")[0] for reason in found["reasons"]] == ["passed", "failed", "passed"]
    assert not found["promote"]
    (told,) = found["events"]
    assert told["candidate_delay_s"] is None
    assert told["current_delay_s"] == found["current"]["median_delay_s"]
    assert (told["device_id"], told["start_ms"]) == ("m0", first * 5_000)


def test_rows_in_doubt_around_a_label_are_no_measure_of_false_alarms(job: Job) -> None:
    first, last = ROWS - 60, ROWS - 20
    label = _line(first + 20, last, doubtful_from_ms=(first - 5) * 5_000)
    found = job("candidate", "current", _fault(first, last), label)
    assert found["candidate"]["false_alarm_episodes"] == 0
    assert found["held_out"]["rows"] == 3 * ROWS // 4 - (last - first + 5) - 1
    assert found["candidate"]["events_found"] == 1


def test_where_most_rows_are_in_doubt_they_are_judged_after_all(job: Job) -> None:
    labels = "\n".join(
        json.dumps({**json.loads(_line(390, 395, doubtful_from_ms=0)), "device_id": device})
        for device in ("m0", "m1", "m2")
    )
    assert job("candidate", "current", DATA, labels)["held_out"]["rows"] == 3 * (ROWS // 4 - 6)


def test_a_label_that_is_there_twice_counts_once(job: Job) -> None:
    line = _line(390, 395)
    assert job("candidate", "current", DATA, f"{line}\n{line}\n")["held_out"]["labels"] == 1


def test_what_cannot_be_evaluated_says_why_and_fails(job: Job) -> None:
    assert "held nothing out" in job("current", "candidate")["message"]


def _cut(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:2_000])


def _repack(given: Path, name: str, content: bytes) -> None:
    archive = given / "candidate" / "model.tar.gz"
    folder = given.parent / "unpacked"
    with tarfile.open(archive) as packed:
        unpack(packed, folder)
    (folder / name).write_bytes(content)
    shutil.rmtree(given / "candidate")
    pack(folder, given / "candidate")


def _rename(given: Path) -> None:
    path = given / "features" / "rows.parquet"
    table = pq.read_table(path)
    first = feature_names(healthy.SPEC)[0]
    names = ["other" if name == first else name for name in table.column_names]
    pq.write_table(table.rename_columns(names), path)


def _label(given: Path, line: str) -> None:
    (given / "labels").mkdir()
    (given / "labels" / "labels.jsonl").write_text(line + "\n")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda given: (given / "current" / "model.tar.gz").write_bytes(b"no"), "no archive"),
        (lambda given: shutil.rmtree(given / "candidate"), "candidate/model.tar.gz: no archive"),
        (lambda given: shutil.rmtree(given / "features"), "no Parquet file"),
        (lambda given: _cut(given / "candidate" / "model.tar.gz"), "no archive"),
        (lambda given: _repack(given, "arrays.npz", b"PK"), "no usable model|no model"),
        (lambda given: _repack(given, "model_card.json", b"{}"), "no usable model: KeyError"),
        (_rename, "features of the candidate model: .*no column 'flow_mean'"),
        (lambda given: _label(given, '{"device_id": "m0"}'), "labels.jsonl line 1: no label"),
        (
            lambda given: _label(given, '{"device_id": "m0", "start_ms": 2, "end_ms": 1}'),
            "labels.jsonl line 1: no device_id or no range",
        ),
        (lambda given: _label(given, _line(1, 2)[:-1] + ', "doubtful_from_ms": 0.5}'), "no range"),
        (lambda given: _label(given, "[]"), "labels.jsonl line 1: no label"),
    ],
)  # fmt: skip
def test_bad_input_fails_the_job_with_a_message(
    tmp_path: Path, models: dict[str, Path], spoil: Callable[[Path], object], words: str
) -> None:
    given = tmp_path / "processing" / "input"
    pack(models["candidate"], given / "candidate")
    pack(models["current"], given / "current")
    write(DATA, given / "features" / "rows.parquet")
    spoil(given)
    assert evaluate.main({"SAGEMAKER_BASE_DIR": str(tmp_path)}) == 1
    message = (tmp_path / "output" / "message").read_text()
    assert len(message) <= 1024
    assert re.search(words, message), message


@given(st.floats(0.0, 300.0), st.floats(0.01, 0.999))
def test_a_poisson_quantile_is_the_smallest_count_of_that_probability(
    mean: float, probability: float
) -> None:
    def at_most(count: int) -> float:
        if mean == 0.0:
            return 1.0
        logs = (k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(count + 1))
        return math.fsum(math.exp(term) for term in logs)

    count = evaluation.poisson_quantile(mean, probability)
    assert at_most(count) >= probability - 1e-9
    assert count == 0 or at_most(count - 1) < probability + 1e-9


METRICS = Metrics("a", 0.25, 10.0, 3, 40, 30, 4, 3, 60.0, {})


@pytest.mark.parametrize(
    ("changes", "promote"),
    [
        ({}, True),
        ({"false_alarm_episodes": 7}, True),
        ({"false_alarm_episodes": 8}, False),
        ({"designed_per_machine_day": 9.0, "false_alarm_episodes": 8}, False),
        ({"events_found": 2}, False),
        ({"probes_found": 28}, True),
        ({"probes_found": 27}, False),
        ({"probes": 20, "probes_found": 14}, True),
        ({"probes": 20, "probes_found": 13}, False),
        ({"probes": 0, "probes_found": 0}, False),
    ],
)
def test_a_candidate_is_judged_against_the_current_model(
    changes: dict[str, Any], promote: bool
) -> None:
    candidate = replace(METRICS, **changes)
    found, reasons = evaluation.judge(candidate, METRICS)
    assert found is promote, reasons
    assert len(reasons) == 3


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 40))
def test_what_is_promoted_stays_so_when_it_alarms_less_and_finds_more(
    alarms: int, current_alarms: int, probes: int
) -> None:
    current = replace(METRICS, false_alarm_episodes=current_alarms)
    candidate = replace(METRICS, false_alarm_episodes=alarms, probes_found=probes)
    if evaluation.judge(candidate, current)[0]:
        better = replace(candidate, false_alarm_episodes=alarms // 2, probes_found=40)
        assert evaluation.judge(better, current)[0]
    assert evaluation.judge(current, current)[0], "the current model is never worse than itself"
