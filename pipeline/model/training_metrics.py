"""The metrics of a training job: how they are printed, and what finds them in the log.

The training script prints `name=value;`; SageMaker matches each line of a job's log with its
metric definitions and keeps the last value as the job's `FinalMetricDataList`, which tuning ranks
by. A request's `AlgorithmSpecification.MetricDefinitions` may be `METRIC_DEFINITIONS` as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

METRICS = (
    "train_loss",
    "validation_loss",
    "threshold",
    "no_model_threshold",
    "epochs",
    "rows",
    "units",
    "machine_days",
    "designed_false_alarms_per_machine_day",
)

# CreateTrainingJob: one group in a Regex of at most 500 characters. A name begins its word:
# `threshold=` is in `no_model_threshold=` too.
METRIC_DEFINITIONS = [
    {"Name": name, "Regex": rf"\b{name}=([-+0-9.eE]+|nan|inf);"} for name in METRICS
]


def line(metrics: Mapping[str, float]) -> str:
    """Return one line with all metrics, each `name=value;`."""
    return " ".join(f"{name}={value:.9g};" for name, value in metrics.items())
