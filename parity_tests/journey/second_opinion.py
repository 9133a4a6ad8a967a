"""Detects on a finished run's raw zone by other means: features in SQL, scores, episodes by hand.

`test_journey` compares what it finds with what the twin found. Of the pipeline it uses the
trained model's arithmetic and nothing else: no window, no state, no batch, no stream.
"""

from __future__ import annotations

import gzip
import tarfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from pipeline.features import feature_names
from pipeline.model.artefact import Artefact, EpisodeRule
from pipeline.model.artefact import load as load_model
from pipeline.settings import FeatureSpec
from pipeline.tests.features_sql import oracle
from pipeline.unpacking import unpack
from simulator import evidence
from simulator.parity.journey import Found, Journey
from simulator.scenario import Scenario


def second_opinion(run: Path, journey: Journey, workshop: Path) -> Journey:
    """Return the same run as this module sees it; ``workshop`` is a folder to unpack the model.

    When the model came into service is taken from the run: its first score of each machine.
    """
    parameters = evidence.template_parameters(Scenario.load("journey"), None)
    spec = FeatureSpec.parse(parameters["FeatureSpec"])
    artefact = _model(run, workshop)
    devices, readings, newest = _readings(run, spec)
    rows = oracle(readings, int(readings["t"].to_numpy().max()) + 1, spec)
    order = [name for name in rows.column_names if name in artefact.feature_names]
    assert set(order) == set(artefact.feature_names) == set(feature_names(spec))
    features = np.column_stack(
        [rows[name].to_numpy(zero_copy_only=False).astype(float) for name in artefact.feature_names]
    )
    owners = [devices[number] for number in rows["device"].to_pylist()]
    scores = artefact.combination.score(artefact.model.parts(owners, features)).tolist()
    by_device: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for owner, at_ms, score in zip(owners, rows["at_ms"].to_pylist(), scores, strict=True):
        # A row is final when the machine's own newest event time has passed it by the lateness.
        if at_ms + spec.allowed_lateness_ms < newest[owner]:
            by_device[owner].append((at_ms, score))
    smoothed: dict[str, dict[int, float]] = {}
    found: list[Found] = []
    for device, scored in sorted(by_device.items()):
        first_ms = min(journey.scores[device])
        smoothed[device] = {
            at: level
            for at, level in _smoothed(scored, artefact.rule.smoothing_rows).items()
            if at >= first_ms
        }
        found += _episodes(device, smoothed[device], artefact.rule)
    found.sort(key=lambda each: (each.started_ms, each.device_id))
    detections = tuple(replace(each, score=round(each.score, 6)) for each in found)
    return replace(
        journey,
        name="second opinion",
        target="DuckDB",
        detections=detections,
        alerts=len(detections),
        scores=smoothed,
    )


def _model(run: Path, workshop: Path) -> Artefact:
    (archive,) = run.glob("twin/s3/*-artefacts-*/models/**/model.tar.gz")
    with tarfile.open(archive) as stored:
        unpack(stored, workshop)
    return load_model(workshop)


def _readings(run: Path, spec: FeatureSpec) -> tuple[list[str], pa.Table, dict[str, int]]:
    """Return the names of the devices, their readings in time, and each one's newest time."""
    lines: list[dict[str, Any]] = []
    for path in sorted(run.glob("twin/s3/*-raw-*/telemetry/**/*.jsonl.gz")):
        lines += [orjson.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    in_time = [line for line in lines if not line["late"]]
    devices = sorted({line["device_id"] for line in in_time})
    number = {name: position for position, name in enumerate(devices)}
    newest: dict[str, int] = defaultdict(int)
    for line in in_time:
        newest[line["device_id"]] = max(newest[line["device_id"]], line["event_time_ms"])
    columns: dict[str, Any] = {
        "device": [number[line["device_id"]] for line in in_time],
        "t": [line["event_time_ms"] for line in in_time],
        "seq": [line["seq"] for line in in_time],
        **{sensor: [line["values"].get(sensor) for line in in_time] for sensor in spec.sensors},
    }
    return devices, pa.table(columns), newest


def _smoothed(scored: list[tuple[int, float]], width: int) -> dict[int, float]:
    """Return the running mean of ``width`` rows at the last of them."""
    values = [score for _, score in scored]
    return {
        scored[last][0]: sum(values[last + 1 - width : last + 1]) / width
        for last in range(width - 1, len(scored))
    }


def _episodes(device: str, levels: dict[int, float], rule: EpisodeRule) -> list[Found]:
    """Return the episodes by the words of the rule: runs of rows above, then runs below."""
    times = sorted(levels)
    above = [levels[at] > rule.enter for at in times]
    below = [levels[at] < rule.exit for at in times]
    found, at = [], 0
    while at < len(times):
        if at + 1 >= rule.enter_rows and all(above[at + 1 - rule.enter_rows : at + 1]):
            end = at + rule.exit_rows
            while end < len(times) and not all(below[end + 1 - rule.exit_rows : end + 1]):
                end += 1
            peak = max(levels[moment] for moment in times[at : end + 1])
            closed = times[end] if end < len(times) else None
            # One that is still open has the score that opened it.
            score = levels[times[at]] if closed is None else peak
            found.append(Found(device, times[at], closed, score))
            # The rows above must be counted afresh.
            above[: end + 1] = [False] * min(len(times), end + 1)
            at = end
        at += 1
    return found
