"""The training script: reads the `train` channel, writes the model directory, prints metrics.

It uses only the SM_* variables that both of SageMaker's training toolkits set; in a container of
our own `container.py` sets them. Metrics are printed as `name=value;` lines, which the training
job's metric definitions match with regular expressions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pipeline.errors import SettingsError
from pipeline.features import feature_names
from pipeline.model import artefact, fitting, hyperparameters, model_card, onnx_export
from pipeline.model import training_metrics as metrics
from pipeline.model.checkpoints import CHECKPOINT_DIR, Checkpoints, StopRequest
from pipeline.model.dataset import Dataset, feature_files, read_features

CHANNEL = "train"


def run(env: Mapping[str, str], stop: StopRequest | None = None) -> fitting.Training:
    """Train as the environment says.

    Checkpoints are kept in CHECKPOINT_DIR, by default /opt/ml/checkpoints. When `stop` is
    requested, the model folder gets what is usable; where nothing is, raises Interrupted.
    Raises SettingsError for wrong hyperparameters or variables and DatasetError for unusable
    or too little data.
    """
    chosen = hyperparameters.parse(_hyperparameters(env))
    channel = Path(_variable(env, f"SM_CHANNEL_{CHANNEL.upper()}"))
    model_dir = Path(_variable(env, "SM_MODEL_DIR"))
    data = read_features(channel, feature_names(chosen.spec))
    data = data.within(*chosen.train_range_ms)
    print(f"read {len(data)} feature rows of {len(set(data.device_ids))} machines", flush=True)
    data, held_out = _held_out(data, chosen)
    key = f"{fitting.version(data, chosen)} {model_card.code_sha256()}"
    kept = Checkpoints(_checkpoint_dir(env), key, stop or StopRequest())
    training = fitting.train(data, chosen, kept)
    model_dir.mkdir(parents=True, exist_ok=True)
    made = training.artefact
    torch.save(training.network.state_dict(), model_dir / artefact.WEIGHTS_FILE)
    onnx_export.save(made.model, made.version, model_dir)
    files = model_card.data_files(feature_files(channel))
    card = model_card.card(
        data,
        chosen,
        training.metrics,
        made.version,
        files,
        complete=training.complete,
        held_out=held_out,
    )
    model_card.save(card, model_dir)
    # Last: a folder with a description has all the rest.
    artefact.save(made, model_dir)
    print(metrics.line(training.metrics), flush=True)
    print(f"model_version={made.version};", flush=True)
    return training


def _held_out(
    data: Dataset, chosen: hyperparameters.Hyperparameters
) -> tuple[Dataset, dict[str, Any] | None]:
    """Return the rows to train on and what the card says of the rest."""
    if not chosen.holdout_share or not len(data):
        return data, None
    end_ms = int(data.event_time_ms.max()) + 1
    kept, cut_ms = data.hold_out(chosen.holdout_share, chosen.spec.reach_ms)
    print(f"held out the last rows of {len(cut_ms)} machines", flush=True)
    return kept, {"share": chosen.holdout_share, "from_ms": cut_ms, "end_ms": end_ms}


def _checkpoint_dir(env: Mapping[str, str]) -> Path:
    base = Path(env.get("SAGEMAKER_BASE_DIR") or "/opt/ml")
    return Path(env.get(CHECKPOINT_DIR) or base / "checkpoints")


def _hyperparameters(env: Mapping[str, str]) -> dict[str, str]:
    try:
        values = json.loads(_variable(env, "SM_HPS"))
    except ValueError as error:
        raise SettingsError(f"SM_HPS: not JSON: {error}") from None
    if not isinstance(values, dict):
        raise SettingsError("SM_HPS: must be a JSON object")
    # The toolkits decode each value as JSON where they can; back to what the request said.
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()
    }


def _variable(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "")
    if not value:
        raise SettingsError(f"{name}: the environment variable is not set")
    return value


if __name__ == "__main__":
    run(os.environ)
