"""What the environment tells the monitoring job: Model Monitor's variables, and some of ours.

Names in lower case are those of Model Monitor's container (developer guide, "Container contract
inputs"): `dataset_source`, `output_path`, `baseline_statistics`, `baseline_constraints`,
`start_time`, `end_time`, `publish_cloudwatch_metrics`, `sagemaker_endpoint_name`,
`sagemaker_monitoring_schedule_name`. Names in capitals are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.errors import SettingsError

BASE_DIR = "SAGEMAKER_BASE_DIR"


@dataclass(frozen=True)
class JobSettings:
    """The settings of one job. Times are epoch milliseconds.

    Without `baseline_statistics` the job makes a baseline. `window_ms` is the length of a window;
    windows begin at its multiples. `retraining_ms` is how much drifted traffic a new model is
    trained on. `told_uri` is where in S3 it is kept what was told of each window; empty: nowhere.
    """

    base: Path
    dataset_source: str
    output_path: Path
    model_path: Path
    baseline_statistics: Path | None
    baseline_constraints: Path | None
    window_ms: int
    start_ms: int
    end_ms: int
    margin_ms: int
    retraining_ms: int
    every_ms: int
    publishes: bool
    endpoint_name: str
    schedule_name: str
    metric_namespace: str
    told_uri: str

    @property
    def makes_baseline(self) -> bool:
        """Whether the job makes a baseline instead of monitoring."""
        return self.baseline_statistics is None


def parse(env: Mapping[str, str]) -> JobSettings:
    """Return the settings; raises SettingsError, which begins with the variable's name."""
    base = Path(env.get(BASE_DIR) or "/opt/ml")
    given = env.get("baseline_statistics", ""), env.get("baseline_constraints", "")
    if bool(given[0]) != bool(given[1]):
        raise SettingsError("baseline_statistics: needs baseline_constraints, and the reverse")
    window_ms = _seconds(env, "WINDOW_S", 3600)
    start_ms = end_ms = 0
    if given[0]:
        # A schedule's time is some seconds after the hour: the window is the last whole one.
        end_ms = _time(env, "end_time") // window_ms * window_ms
        start_ms = _time(env, "start_time") if env.get("start_time") else end_ms - window_ms
        if start_ms >= end_ms:
            raise SettingsError("start_time: must be before end_time")
    publishes = env.get("publish_cloudwatch_metrics", "Enabled")
    if publishes not in ("Enabled", "Disabled"):
        raise SettingsError("publish_cloudwatch_metrics: must be Enabled or Disabled")
    retraining_ms = _seconds(env, "RETRAINING_S", 86_400)
    if retraining_ms % window_ms:
        raise SettingsError("RETRAINING_S: must be a multiple of WINDOW_S")
    told_uri = env.get("TOLD_URI", "")
    if told_uri and not told_uri.startswith("s3://"):
        raise SettingsError(f"TOLD_URI: must begin with s3://, not {told_uri!r}")
    source = env.get("dataset_source") or str(_inside(base, "/opt/ml/processing/input/data"))
    return JobSettings(
        base=base,
        dataset_source=source if source.startswith("s3://") else str(_inside(base, source)),
        output_path=_inside(base, env.get("output_path") or "/opt/ml/processing/output"),
        model_path=_inside(base, env.get("MODEL_PATH") or "/opt/ml/processing/input/model"),
        baseline_statistics=_inside(base, given[0]) if given[0] else None,
        baseline_constraints=_inside(base, given[1]) if given[1] else None,
        window_ms=window_ms,
        start_ms=start_ms,
        end_ms=end_ms,
        margin_ms=_seconds(env, "HEALTHY_MARGIN_S", 1800, lowest=0),
        retraining_ms=retraining_ms,
        # Whole windows, and each only once.
        every_ms=max(window_ms, _seconds(env, "JUDGED_EVERY_S", 1) // window_ms * window_ms),
        publishes=publishes == "Enabled",
        endpoint_name=env.get("sagemaker_endpoint_name", ""),
        schedule_name=env.get("sagemaker_monitoring_schedule_name", ""),
        metric_namespace=env.get("METRIC_NAMESPACE") or "Fleetwin",
        told_uri=told_uri,
    )


def _inside(base: Path, path: str) -> Path:
    """Return a path below /opt/ml where that folder really is."""
    if path == "/opt/ml" or path.startswith("/opt/ml/"):
        return base / path.removeprefix("/opt/ml").lstrip("/")
    return Path(path)


def _seconds(env: Mapping[str, str], name: str, default: int, lowest: int = 1) -> int:
    text = env.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or int(text) < lowest:
        raise SettingsError(f"{name}: must be a whole number of seconds >= {lowest}, not {text!r}")
    return int(text) * 1000


def _time(env: Mapping[str, str], name: str) -> int:
    text = env.get(name, "")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = datetime.min  # noqa: DTZ901 - stands for a time that cannot be used
    if at.tzinfo is None:
        raise SettingsError(f"{name}: must be an ISO time with a zone, not {text!r}")
    return int(at.timestamp() * 1000)
