"""The container's entry point: `train` or `serve`, under SageMaker's container contract.

    python -m pipeline.model.container train|serve

A container of one's own gets files below /opt/ml and none of the SM_* variables that training
scripts rely on; this module derives them (developer guide, "Use Your Own Training Algorithms").
The base folder and the port can be moved by SAGEMAKER_BASE_DIR and SAGEMAKER_BIND_TO_PORT, as in
SageMaker's own toolkits, and the address by SAGEMAKER_BIND_TO_HOST.

Torch is imported for training only: a serving container must answer its first ping quickly.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.job_log import say

BASE_DIR = "SAGEMAKER_BASE_DIR"
BIND_TO_PORT = "SAGEMAKER_BIND_TO_PORT"
BIND_TO_HOST = "SAGEMAKER_BIND_TO_HOST"

# DescribeTrainingJob: "FailureReason", Maximum length of 1024.
MAX_FAILURE_CHARACTERS = 1024

# What a shell reports for a process ended by SIGTERM; the job counts as stopped, not completed.
STOPPED_EXIT_CODE = 128 + signal.SIGTERM


def training_variables(base: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Return the SM_* variables that SageMaker's two training toolkits have in common.

    `base` is /opt/ml. Raises ValueError when a configuration file is not a JSON object.
    """
    config = base / "input" / "config"
    values = _read_json(config / "hyperparameters.json")
    channels = _read_json(config / "inputdataconfig.json")
    resources = _read_json(config / "resourceconfig.json")
    host = str(resources.get("current_host", "algo-1"))
    variables = {
        "SM_MODEL_DIR": str(base / "model"),
        "SM_INPUT_DIR": str(base / "input"),
        "SM_INPUT_CONFIG_DIR": str(config),
        "SM_OUTPUT_DIR": str(base / "output"),
        "SM_OUTPUT_DATA_DIR": str(base / "output" / "data"),
        "SM_CHANNELS": json.dumps(sorted(channels)),
        "SM_HPS": json.dumps(values),
        "SM_HOSTS": json.dumps(resources.get("hosts", [host])),
        "SM_CURRENT_HOST": host,
        "SM_CURRENT_INSTANCE_TYPE": str(resources.get("current_instance_type", "local")),
        "SM_NETWORK_INTERFACE_NAME": str(resources.get("network_interface_name", "lo")),
        "SM_NUM_CPUS": str(os.cpu_count() or 1),
        "SM_NUM_GPUS": "0",
        "SM_NUM_NEURONS": "0",
        "SM_RESOURCE_CONFIG": json.dumps(resources),
        "SM_INPUT_DATA_CONFIG": json.dumps(channels),
        "SM_LOG_LEVEL": env.get("SM_LOG_LEVEL", "20"),
    }
    for name in channels:
        variables[f"SM_CHANNEL_{name.upper()}"] = str(base / "input" / "data" / name)
    for name, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value)
        variables[f"SM_HP_{name.upper()}"] = text
    variables["SM_TRAINING_ENV"] = json.dumps(
        {"hyperparameters": values, "channel_input_dirs": sorted(channels), "current_host": host}
    )
    return variables


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    parsed = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(parsed, dict):
        raise ValueError(f"{path.name}: must be a JSON object")
    return parsed


def train(base: Path) -> int:
    """Run the training script; return the exit code.

    A failure leaves its reason in output/failure, which becomes the job's FailureReason. On
    SIGTERM the script saves a checkpoint at its next step, writes the model as far as it is
    usable, and ends well within the 120 s before SIGKILL.
    """
    try:
        os.environ.update(training_variables(base, os.environ))
        # Python's default ends the process at once while torch is imported: nothing is lost yet.
        from pipeline.model import train as script
        from pipeline.model.checkpoints import Interrupted, StopRequest

        stop = StopRequest()
        signal.signal(signal.SIGTERM, lambda signal_number, frame: stop.request())
        try:
            done = script.run(os.environ, stop)
        except Interrupted as reached:
            say(f"{reached}: no usable model yet, the checkpoint is kept")
            return STOPPED_EXIT_CODE
        if not done.complete:
            say("stopped: the model is calibrated on a part of the rows")
            return STOPPED_EXIT_CODE
    except Exception as error:
        traceback.print_exc()
        _write_failure(base, error)
        return 1
    return 0


def _write_failure(base: Path, error: Exception) -> None:
    # The reason first: only the beginning of the file is shown.
    text = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
    output = base / "output"
    output.mkdir(parents=True, exist_ok=True)
    (output / "failure").write_text(text[:MAX_FAILURE_CHARACTERS], encoding="utf-8")


def serve(base: Path) -> int:
    """Serve the model until SIGTERM; return the exit code."""
    import uvicorn

    from pipeline.errors import ModelNotReady
    from pipeline.model import inference
    from pipeline.model.server import Application, body_limit

    try:
        artefact = inference.model_fn(str(base / "model"))
    except ModelNotReady as error:
        print(f"cannot serve: {error}", file=sys.stderr, flush=True)
        return 1
    # uvicorn ends gracefully on SIGTERM and then raises the signal again for whoever handled it
    # before; this handler lets the process end by itself, with code 0.
    signal.signal(signal.SIGTERM, lambda signal_number, frame: None)
    uvicorn.run(
        Application(artefact, body_limit(os.environ)),
        host=os.environ.get(BIND_TO_HOST, "0.0.0.0"),
        port=int(os.environ.get(BIND_TO_PORT, "8080")),
        lifespan="off",
        log_level="warning",
        access_log=False,
        # SageMaker sends SIGKILL 30 s after SIGTERM.
        timeout_graceful_shutdown=20,
    )
    return 0


def main(arguments: Sequence[str]) -> int:
    """Run `train` or `serve`; return the exit code."""
    commands = {"train": train, "serve": serve}
    if len(arguments) != 1 or arguments[0] not in commands:
        print("usage: python -m pipeline.model.container train|serve", file=sys.stderr)
        return 2
    return commands[arguments[0]](Path(os.environ.get(BASE_DIR, "/opt/ml")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
