"""The evaluation job: compares a candidate with the current model, under Processing's contract.

    python -m pipeline.model.evaluate

The training workflow runs it as a SageMaker processing job of the model's image. Below
/opt/ml/processing (SAGEMAKER_BASE_DIR moves /opt/ml): `input/candidate` and, if there is one,
`input/current` hold a model.tar.gz each, `input/features` the feature rows, `input/labels`
(optional) JSON lines of times in which a machine was not healthy (`read_labels`). It writes
`output/evaluation/evaluation.json`; a rejected candidate is a result and no failure. What is
measured and judged is in `evaluation`.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import DatasetError
from pipeline.features import feature_names
from pipeline.job_log import say
from pipeline.model import evaluation
from pipeline.model.dataset import Dataset, read_features
from pipeline.model.evaluation import Event, Metrics, Task
from pipeline.model.healthy_rows import rows_in
from pipeline.model.stored_model import Stored, read_model
from pipeline.settings import FeatureSpec

BASE_DIR = "SAGEMAKER_BASE_DIR"
RESULT_FILE = "evaluation.json"
SCHEMA = 1
EVENTS_TOLD = 100
"""The workflow takes the whole result as a state's output, of 256 KiB at most."""

# API reference, DescribeProcessingJob: ExitMessage has at most 1024 characters.
MAX_MESSAGE_CHARACTERS = 1024


def run(base: Path) -> dict[str, Any]:
    """Compare the models below `base` (/opt/ml) and write the result, which is returned.

    Raises ModelNotReady for an archive that is missing or not a model, DatasetError for features
    or labels that cannot be used.
    """
    given = base / "processing" / "input"
    candidate = read_model(given / "candidate")
    current = read_model(given / "current") if _has_files(given / "current") else None
    events = read_labels(given / "labels")
    models = [model for model in (candidate, current) if model is not None]
    probe_rows = evaluation.probe_rows(model.artefact.rule for model in models)
    tasks = {}
    for name, model in {"candidate": candidate, "current": current}.items():
        if model is not None:
            try:
                rows = read_features(given / "features", feature_names(model.spec))
            except DatasetError as error:
                raise DatasetError(f"features of the {name} model: {error}") from error
            # Both models are judged on the same rows: those that the candidate has not seen.
            tasks[name] = task(candidate, rows, events, model.spec, probe_rows)
    found = {
        name: evaluation.measure(model.artefact, model.designed_per_machine_day, tasks[name])
        for name, model in (("candidate", candidate), ("current", current))
        if model is not None
    }
    result = _result(found, tasks["candidate"], len(events), current)
    output = base / "processing" / "output" / "evaluation"
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, sort_keys=True)
    (output / RESULT_FILE).write_text(text + "\n", encoding="utf-8")
    return result


def _result(
    found: Mapping[str, Metrics], judged: Task, labels: int, current: Stored | None
) -> dict[str, Any]:
    promote, reasons = evaluation.judge(found["candidate"], found.get("current"))
    times = judged.healthy.event_time_ms
    return {
        "schema": SCHEMA,
        "promote": promote,
        "reasons": reasons,
        "candidate": found["candidate"].to_json(),
        "current": found["current"].to_json() if current is not None else None,
        "held_out": {
            "rows": len(judged.healthy),
            "devices": len(set(judged.healthy.device_ids)),
            "first_ms": int(times.min()),
            "last_ms": int(times.max()),
            "rows_seen_by_current": _seen(judged.healthy, current),
            "labels": labels,
            "labels_not_unseen": labels - len(judged.events),
        },
        "events": _told(found, judged),
        "criteria": {
            "false_alarm_tolerance": evaluation.FALSE_ALARM_TOLERANCE,
            "confidence": evaluation.CONFIDENCE,
            "probe_deviations": evaluation.PROBE_DEVIATIONS,
            "probe_tolerance": evaluation.PROBE_TOLERANCE,
        },
    }


def _told(found: Mapping[str, Metrics], judged: Task) -> list[dict[str, Any]]:
    """Return the first events with how soon each model finds them, None where it does not."""
    return [
        {
            "device_id": event.device_id,
            "start_ms": event.start_ms,
            "end_ms": event.end_ms,
            **{f"{name}_delay_s": metrics.delays_s[place] for name, metrics in found.items()},
        }
        for place, (event, _) in enumerate(judged.events[:EVENTS_TOLD])
    ]


def read_labels(folder: Path) -> list[Event]:
    """Return the events in the JSON lines below a folder, none without one.

    Each line has `device_id`, `start_ms` and `end_ms`, and may have `doubtful_from_ms` and
    `doubtful_until_ms` (`pipeline.etl.order_labels` writes them all). A line that is there twice
    counts once. Raises DatasetError naming the file and line that cannot be used.
    """
    events: dict[Event, None] = {}
    for path in sorted(folder.rglob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                start_ms, end_ms = record["start_ms"], record["end_ms"]
                doubtful_ms = (
                    record.get("doubtful_from_ms", start_ms),
                    record.get("doubtful_until_ms", end_ms),
                )
                event = Event(record["device_id"], start_ms, end_ms, doubtful_ms)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DatasetError(f"{path.name} line {number}: no label: {error!r}") from None
            times = (start_ms, end_ms, *doubtful_ms)
            kinds = (type(event.device_id), *map(type, times))
            if kinds != (str, int, int, int, int) or start_ms > end_ms:
                raise DatasetError(f"{path.name} line {number}: no device_id or no range of times")
            events[event] = None
    return list(events)


def task(
    candidate: Stored, rows: Dataset, events: list[Event], spec: FeatureSpec, probe_rows: int
) -> Task:
    """Return what is unseen by the candidate of `rows`, in the features of `spec`.

    What its training left out as rows of faults is no healthy row here either; nor is what is in
    doubt, unless that is more than half of it. Raises DatasetError when the candidate has held
    nothing out, or nothing of it is there.
    """
    held_out = candidate.card.get("held_out")
    if not held_out or not held_out["from_ms"]:
        raise DatasetError("the candidate has held nothing out: train it with holdout_share")
    from_ms, end_ms = held_out["from_ms"], held_out["end_ms"]
    devices, times = np.array(rows.device_ids), rows.event_time_ms
    starts = np.array([from_ms.get(device, end_ms) for device in rows.device_ids], dtype=np.int64)
    healthy = (times >= starts) & (times < end_ms)
    healthy &= ~rows_in(rows, (candidate.card.get("left_out") or {}).get("spans", {}))
    trained_ms, _ = candidate.trained_ms
    unseen = []
    doubtful = np.zeros(len(rows), dtype=np.bool_)
    before_ms = (candidate.artefact.rule.smoothing_rows + 1) * spec.hop_ms
    for event in events:
        own = devices == event.device_id
        inside = own & (times >= event.start_ms) & (times <= event.end_ms)
        healthy &= ~inside
        first_ms, last_ms = event.not_healthy_ms
        doubtful |= own & (times >= first_ms) & (times <= last_ms)
        trained_until_ms = from_ms.get(event.device_id, end_ms)
        is_seen = event.start_ms < trained_until_ms and event.end_ms >= trained_ms
        if inside.any() and not is_seen:
            # The rows before it fill the smoothing.
            around = own & (times >= event.start_ms - before_ms) & (times <= event.end_ms)
            unseen.append((event, rows.at(np.flatnonzero(around))))
    if 2 * (healthy & doubtful).sum() <= healthy.sum():
        healthy &= ~doubtful
    if not healthy.any():
        raise DatasetError("none of the rows that the candidate has held out is in the features")
    return Task(spec, rows.at(np.flatnonzero(healthy)), tuple(unseen), probe_rows)


def _seen(healthy: Dataset, current: Stored | None) -> int:
    """Count rows in the current model's time of training: of them it has an unfair advantage."""
    if current is None:
        return 0
    from_ms = (current.card.get("held_out") or {}).get("from_ms", {})
    known, (first_ms, last_ms) = set(current.artefact.model.baselines.units), current.trained_ms
    pairs = zip(healthy.device_ids, healthy.event_time_ms.tolist(), strict=True)
    return sum(
        device in known and first_ms <= at_ms <= last_ms and at_ms < from_ms.get(device, at_ms + 1)
        for device, at_ms in pairs
    )


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def main(env: Mapping[str, str]) -> int:
    """Run the job; return the exit code. Its verdict or its failure is the ExitMessage."""
    base = Path(env.get(BASE_DIR) or "/opt/ml")
    code = 0
    try:
        result = run(base)
        verdict = "promote" if result["promote"] else "reject"
        message = f"{verdict}: {'; '.join(result['reasons'])}"
    except Exception as error:
        traceback.print_exc()
        message, code = f"{type(error).__name__}: {error}", 1
    say(message)
    output = base / "output"
    output.mkdir(parents=True, exist_ok=True)
    (output / "message").write_text(message[:MAX_MESSAGE_CHARACTERS], encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(os.environ))
