"""The monitoring job: a SageMaker processing job in the model's image.

    python -m pipeline.monitoring.job

Without `baseline_statistics` in its environment it makes a model's baseline of its training rows
(Parquet in `dataset_source`), with it it judges a window of captured traffic. Either way the
model's archive lies in `MODEL_PATH`. It writes Model Monitor's files to `output_path` and its
outcome, "Completed" or "CompletedWithViolations", to output/message, the job's ExitMessage. The
variables are in `job_settings`. It reads no clock: the window is named by `end_time`.
"""

from __future__ import annotations

import json
import os
import sys
import tarfile
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3

from pipeline.aws import CLIENT_CONFIG
from pipeline.errors import JobInputError, PipelineError
from pipeline.job_log import say
from pipeline.model import artefact, hyperparameters
from pipeline.model.artefact import Artefact
from pipeline.model.dataset import read_features
from pipeline.monitoring import baseline as baselines
from pipeline.monitoring import job_settings, publishing
from pipeline.monitoring.baseline import STATISTICS_FILE, Baseline
from pipeline.monitoring.job_settings import JobSettings
from pipeline.monitoring.told import Memory, Told
from pipeline.monitoring.traffic import Traffic, captured_lines, read_lines
from pipeline.monitoring.window import Judgement, Monitor
from pipeline.unpacking import unpack

VIOLATIONS_FILE = "constraint_violations.json"
REPORT_FILE = "report.json"

# DescribeProcessingJob: "ExitMessage", Maximum length of 1024.
MAX_MESSAGE_CHARACTERS = 1024

Clients = Callable[[str], Any]


def run(env: Mapping[str, str], clients: Clients) -> str:
    """Do what the environment says and return the exit message.

    `clients` makes a client of boto3 by the service's name, only for what is needed. Raises
    SettingsError for wrong variables, JobInputError and others for input that cannot be used.
    """
    settings = job_settings.parse(env)
    model = _model(settings.model_path)
    if settings.makes_baseline:
        return _make_baseline(settings, model)
    return _monitor(settings, model, clients)


def _model(folder: Path) -> Artefact:
    """Return the model in a folder or in the archive in it."""
    archives = sorted(folder.rglob("*.tar.gz"))
    if not archives:
        return artefact.load(folder)
    with tempfile.TemporaryDirectory() as unpacked:
        try:
            with tarfile.open(archives[0]) as archive:
                unpack(archive, Path(unpacked))
        except (OSError, tarfile.TarError) as error:
            raise JobInputError(f"{archives[0].name}: {error}") from error
        return artefact.load(Path(unpacked))


def _make_baseline(settings: JobSettings, model: Artefact) -> str:
    chosen = hyperparameters.Hyperparameters(**model.notes["hyperparameters"])
    data = read_features(Path(settings.dataset_source), model.feature_names)
    data = data.within(*chosen.train_range_ms)
    made = baselines.make(model, data, settings.window_ms, settings.margin_ms)
    made.save(settings.output_path)
    rows, blocks = made.reference["dataset"]["item_count"], made.reference["blocks"]
    say(f"baseline of model {model.version}: {rows} healthy rows, {blocks} blocks")
    return f"Completed: baseline of {rows} rows"


def _monitor(settings: JobSettings, model: Artefact, clients: Clients) -> str:
    assert settings.baseline_statistics is not None
    assert settings.baseline_constraints is not None
    baseline = baselines.load(settings.baseline_statistics, settings.baseline_constraints)
    if baseline.model_version != model.version:
        raise JobInputError(
            f"the baseline is of model {baseline.model_version}, the model is {model.version}"
        )
    # More than is trained on, to see whether the drift had lasted long enough before.
    windows = settings.retraining_ms // settings.window_ms
    earliest_ms = settings.end_ms - (windows + windows // 2 + 1) * settings.window_ms
    earliest_ms = min(settings.start_ms, earliest_ms)
    s3 = clients("s3") if settings.dataset_source.startswith("s3://") else None
    lines = captured_lines(settings.dataset_source, earliest_ms, settings.end_ms, s3)
    traffic = read_lines(lines, model.version).within(earliest_ms, settings.end_ms)
    monitor = Monitor(model, baseline, traffic, settings.margin_ms)
    judged = monitor.judge(settings.start_ms, settings.end_ms)
    detail = None
    if judged.drifted:
        since_ms = monitor.drifted_since(judged, earliest_ms)
        detail = publishing.drift_detail(
            settings.endpoint_name,
            settings.schedule_name,
            model.version,
            judged,
            baseline.limits(),
            publishing.retraining(
                since_ms,
                settings.end_ms,
                settings.retraining_ms,
                settings.every_ms,
                again=monitor.lasted_before(
                    judged, settings.retraining_ms, settings.every_ms, earliest_ms
                ),
            ),
        )
    _write(settings, judged, baseline, traffic, detail)
    _tell(settings, judged, detail, clients)
    return _message(judged)


def _tell(
    settings: JobSettings, judged: Judgement, detail: dict[str, Any] | None, clients: Clients
) -> None:
    """Put metrics and drift, unless an earlier judgement of the window has."""
    window = judged.start_ms, judged.end_ms
    memory = Memory(clients("s3"), settings.told_uri) if settings.told_uri else None
    before = memory.of(*window) if memory is not None else Told()
    told = before
    if settings.publishes and not before.metrics:
        publishing.put_metrics(
            clients("cloudwatch"),
            settings.metric_namespace,
            settings.endpoint_name,
            settings.schedule_name,
            judged,
        )
        told = replace(told, metrics=True)
    if detail is not None and before.lacks(detail):
        publishing.put_drift(clients("events"), detail)
        told = replace(told, drift=detail)
    if told == before:
        say(f"nothing new of the window until {publishing.iso(judged.end_ms)}")
    elif memory is not None:
        memory.keep(*window, told)


def _write(
    settings: JobSettings,
    judged: Judgement,
    baseline: Baseline,
    traffic: Traffic,
    detail: dict[str, Any] | None,
) -> None:
    report = {
        "window": {
            "start": publishing.iso(judged.start_ms),
            "end": publishing.iso(judged.end_ms),
        },
        "model_version": baseline.model_version,
        "rows": judged.rows,
        "rows_in_alarm": judged.alarmed_rows,
        "rows_judged_for_drift": judged.healthy_rows if judged.judged else 0,
        "rows_of_other_models": traffic.foreign,
        "unreadable_records": traffic.unreadable,
        "distances": judged.apart,
        "limits": baseline.limits(),
        "drift": detail,
    }
    settings.output_path.mkdir(parents=True, exist_ok=True)
    for name, content in (
        (STATISTICS_FILE, judged.statistics),
        (VIOLATIONS_FILE, {"violations": judged.violations}),
        (REPORT_FILE, report),
    ):
        (settings.output_path / name).write_text(json.dumps(content) + "\n", encoding="utf-8")


def _message(judged: Judgement) -> str:
    if judged.violations:
        return f"CompletedWithViolations: {len(judged.violations)} violations in {judged.rows} rows"
    if not judged.rows:
        return "Completed: no traffic of this model in the window"
    note = "" if judged.judged else ", too few healthy ones for a judgement of drift"
    return f"Completed: {judged.rows} rows{note}"


def _client(service: str) -> Any:
    # The stubs know a client a literal name.
    make: Any = boto3.client
    return make(service, config=CLIENT_CONFIG)


def main(env: Mapping[str, str]) -> int:
    """Run the job and leave its exit message; return the exit code."""
    try:
        message, code = run(env, _client), 0
    except Exception as error:
        if not isinstance(error, PipelineError):
            traceback.print_exc()
        message, code = f"{type(error).__name__}: {error}", 1
    say(message)
    output = Path(env.get(job_settings.BASE_DIR) or "/opt/ml") / "output"
    output.mkdir(parents=True, exist_ok=True)
    (output / "message").write_text(message[:MAX_MESSAGE_CHARACTERS], encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(os.environ))
