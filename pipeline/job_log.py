"""What SageMaker's jobs print: a line of JSON each, as functions and Glue jobs do.

A line has `event` (`training_job` or `processing_job`), `job` (the job's name, where there is one)
and `message`; a training names its model in `model_version`. So a search finds all lines of a job,
and from a detection's model the job that trained it. Tracebacks stay as Python prints them. Used by
the scripts of `pipeline.model` and `pipeline.monitoring`; serving does not print through it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

TRAINING_JOB = "TRAINING_JOB_NAME"
"""Set in training containers by SageMaker's training toolkit."""
BASE_DIR = "SAGEMAKER_BASE_DIR"
CONFIG = Path("config/processingjobconfig.json")
"""What SageMaker lays below /opt/ml for a processing job, which has no variable with its name."""


def say(message: str, **fields: object) -> None:
    """Print a line; ``fields`` are written beside the message for whoever searches the logs."""
    base = os.environ.get(BASE_DIR) or "/opt/ml"
    told = {**job_of(os.environ.get(TRAINING_JOB, ""), base), "message": message, **fields}
    # ASCII escapes nothing that a metric definition looks for: `name=value;`.
    print(json.dumps(told), flush=True)


@cache
def job_of(training_job: str, base: str) -> Mapping[str, str]:
    """Return event and job of whoever runs here; nothing where it is no job of SageMaker."""
    if training_job:
        return {"event": "training_job", "job": training_job}
    try:
        job = json.loads((Path(base) / CONFIG).read_text("utf-8"))["ProcessingJobName"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {"event": "processing_job", "job": str(job)}
