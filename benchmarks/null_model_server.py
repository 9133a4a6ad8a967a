"""The model server with a model that computes nothing: what serving costs before any scoring.

Started by `benchmarks.model` as a process of its own, like the real one: same server, same
decoding and encoding, constant scores.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from pipeline.model import inference, server
from pipeline.model.artefact import Artefact


def predict_nothing(request: inference.Request, artefact: Artefact) -> dict[str, Any]:
    """Answer as the model does, without looking at the rows."""
    n, sensors = len(request.device_ids), artefact.model.sensors
    answer = {
        "model_version": artefact.version,
        "smoothing_rows": artefact.rule.smoothing_rows,
        "enter": artefact.rule.enter,
        "exit": artefact.rule.exit,
        "enter_rows": artefact.rule.enter_rows,
        "exit_rows": artefact.rule.exit_rows,
        "scores": np.full(n, 0.12345678901234567),
        "no_model_scores": np.full(n, 0.12345678901234567),
        "contributions": np.full((n, len(sensors)), 0.123456),
        "sensors": list(sensors),
    }
    if artefact.rule.memory_rows:
        slow = artefact.level_sensors
        answer["memory_rows"], answer["level_sensors"] = artefact.rule.memory_rows, list(slow)
        answer["levels"] = np.full((n, len(slow)), 0.123456)
    return answer


if __name__ == "__main__":
    inference.predict_fn = predict_nothing
    uvicorn.run(
        server.Application(inference.model_fn(str(Path(sys.argv[1]) / "model"))),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        lifespan="off",
        log_level="warning",
        access_log=False,
    )
