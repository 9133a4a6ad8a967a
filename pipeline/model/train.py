"""The training script: reads the `train` channel, writes the model directory, prints metrics.

Where there is a channel `current`, with the archive of the model that served, rows that were not of
healthy machines are left out (`healthy_rows`).

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

import numpy as np
import torch

from pipeline.errors import SettingsError
from pipeline.features import feature_names
from pipeline.job_log import say
from pipeline.model import (
    artefact,
    fitting,
    healthy_rows,
    hyperparameters,
    model_card,
    onnx_export,
)
from pipeline.model import training_metrics as metrics
from pipeline.model.checkpoints import CHECKPOINT_DIR, Checkpoints, StopRequest
from pipeline.model.dataset import Dataset, feature_files, read_features
from pipeline.model.stored_model import read_model

CHANNEL = "train"
CURRENT_CHANNEL = "current"


def run(env: Mapping[str, str], stop: StopRequest | None = None) -> fitting.Training:
    """Train as the environment says.

    Checkpoints are kept in CHECKPOINT_DIR, by default /opt/ml/checkpoints. When `stop` is
    requested, the model folder gets what is usable; where nothing is, raises Interrupted.
    Raises SettingsError for wrong hyperparameters or variables, DatasetError for unusable or too
    little data, and ModelNotReady for a current model that cannot be read.
    """
    chosen = hyperparameters.parse(_hyperparameters(env))
    channel = Path(_variable(env, f"SM_CHANNEL_{CHANNEL.upper()}"))
    model_dir = Path(_variable(env, "SM_MODEL_DIR"))
    data, not_healthy = _rows(channel, env.get(f"SM_CHANNEL_{CURRENT_CHANNEL.upper()}"), chosen)
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
        data.at(np.flatnonzero(~healthy_rows.rows_in(data, training.stood_out))),
        chosen,
        training.metrics,
        made.version,
        files,
        complete=training.complete,
        held_out=held_out,
        left_out=not_healthy,
        stood_out=training.stood_out,
    )
    model_card.save(card, model_dir)
    # Last: a folder with a description has all the rest.
    artefact.save(made, model_dir)
    say(metrics.line(training.metrics))
    say(f"model_version={made.version};", model_version=made.version)
    return training


def _rows(
    channel: Path, current: str | None, chosen: hyperparameters.Hyperparameters
) -> tuple[Dataset, dict[str, Any] | None]:
    """Return the rows to learn from, and what the card says of those that are left out."""
    start_ms, end_ms = chosen.train_range_ms
    names = feature_names(chosen.spec)
    data = read_features(channel, names)
    if not current:
        data = data.within(start_ms, end_ms)
        _say_rows(data)
        return data, None
    served = read_model(Path(current)).artefact
    repair_ms = chosen.repair_s * 1000
    data = data.within(start_ms - repair_ms, end_ms)
    its_own = data
    if served.feature_names != names:
        its_own = read_features(channel, served.feature_names)
        its_own = its_own.within(start_ms - repair_ms, end_ms)
    found = healthy_rows.left_out(
        data,
        served,
        its_own.features,
        healthy_rows.finished_orders(channel),
        chosen.alarm_margin_s * 1000,
        repair_ms,
        start_ms,
    )
    inside = data.event_time_ms >= start_ms
    in_range = data.at(np.flatnonzero(inside))
    _say_rows(in_range)
    data = data.at(np.flatnonzero(inside & ~found.rows))
    told = found.to_json(sorted(set(in_range.device_ids) - set(data.device_ids)))
    say(
        f"left out by model {served.version}: {told['rows_in_alarm']} rows in alarm, "
        f"{told['rows_until_a_work_order']} more until a work order; "
        f"{told['hours_of_a_common_cause']} hours of a common cause kept; "
        f"machines without a row left: {', '.join(told['devices_without_rows']) or 'none'}",
    )
    return data, told | {"model_version": served.version}


def _say_rows(data: Dataset) -> None:
    say(f"read {len(data)} feature rows of {len(set(data.device_ids))} machines")


def _held_out(
    data: Dataset, chosen: hyperparameters.Hyperparameters
) -> tuple[Dataset, dict[str, Any] | None]:
    """Return the rows to train on and what the card says of the rest."""
    if not chosen.holdout_share or not len(data):
        return data, None
    end_ms = int(data.event_time_ms.max()) + 1
    kept, cut_ms = data.hold_out(chosen.holdout_share, chosen.spec.reach_ms)
    say(f"held out the last rows of {len(cut_ms)} machines")
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
