"""The model card: what a model was made of and for, in words and numbers, beside the model.

The training script writes it as `model_card.json`; the registry and the evaluation show it. It has
no clock in it: the same data and hyperparameters give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.model.dataset import Dataset
from pipeline.model.hyperparameters import Hyperparameters

CARD_FILE = "model_card.json"
SCHEMA = 1
PACKAGE = Path(__file__).parents[1]
_CHUNK_BYTES = 1 << 20

INTENDED_USE = (
    "Tells for one machine at a time that its sensors no longer behave as they did in the training "
    "data, by feature rows of the named features, so that a person inspects it."
)
LIMITS = (
    "It knows nothing of causes and of how long a machine still lasts.",
    "What was in the training data counts as healthy, faults that no model had found included.",
    "A machine that is not among its devices is judged by the mean of the others, and less well.",
    "The designed rate of false alarms holds for conditions like those of the training data.",
    "It is not a safety function.",
)


def card(
    data: Dataset,
    chosen: Hyperparameters,
    metrics: dict[str, float],
    version: str,
    files: Sequence[dict[str, Any]],
    *,
    complete: bool,
    held_out: dict[str, Any] | None,
    left_out: dict[str, Any] | None,
    stood_out: dict[str, list[list[int]]],
) -> dict[str, Any]:
    """Return the card; `files` as of `data_files`, `complete` False for a job that was stopped.

    `held_out` has the `share` of each machine's rows that is left out, `from_ms` (device to the
    time of its first such row) and `end_ms`, before which the last of them is; `left_out` what
    `healthy_rows` says of rows that were not of healthy machines, None where no model had served;
    `stood_out` each machine's stretches of time, [from, until], that `standing_out` found.
    """
    return {
        "schema": SCHEMA,
        "model_version": version,
        "complete": complete,
        "training_data": {
            "files": list(files),
            "rows": len(data),
            "devices": sorted(set(data.device_ids)),
            "first": _iso(int(data.event_time_ms.min())),
            "last": _iso(int(data.event_time_ms.max())),
        },
        "held_out": held_out,
        "left_out": left_out,
        "stood_out": stood_out,
        "code_sha256": code_sha256(),
        "hyperparameters": asdict(chosen),
        "metrics": metrics,
        "calibration": {
            "designed_false_alarms_per_machine_day": chosen.false_alarms_per_machine_day,
            "machine_days_of_unseen_rows": metrics["machine_days"],
            "blocks_of_time": chosen.folds,
        },
        "intended_use": INTENDED_USE,
        "limits": list(LIMITS),
    }


def save(content: dict[str, Any], folder: Path) -> None:
    """Write the card into a model folder."""
    text = json.dumps(content, indent=1, sort_keys=True)
    (folder / CARD_FILE).write_text(text + "\n", encoding="utf-8")


def data_files(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return SHA-256 and bytes of each file, sorted by hash.

    Without names: a job that writes the same rows again gives its files other ones.
    """
    found = [{"sha256": _sha256(path), "size_bytes": path.stat().st_size} for path in paths]
    return sorted(found, key=lambda file: str(file["sha256"]))


def code_sha256(package: Path = PACKAGE) -> str:
    """Return the hash of the package's Python files, by their names; tests are not counted."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package)
        if "tests" not in inside.parts:
            digest.update(f"{inside.as_posix()} {_sha256(path)}\n".encode())
    return digest.hexdigest()


def time_ms(text: str) -> int:
    """Return a time of a card in epoch milliseconds; raises ValueError."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _iso(time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
