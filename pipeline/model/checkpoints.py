"""Checkpoints of a training job: where it was, so that a further job goes on with the same bits.

The training script makes one `Checkpoints` a job; each fitted network saves its state there by
its name. SageMaker copies the folder to the job's `CheckpointConfig` while it runs and brings it
back before a restart, so a file is complete or not there: written beside, then renamed.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from pipeline.job_log import say

CHECKPOINT_DIR = "CHECKPOINT_DIR"


class Interrupted(Exception):
    """The job was told to stop; what was reached is in the checkpoint."""


@dataclass
class StopRequest:
    """Whether the job was told to stop; the handler of SIGTERM sets it, a fit looks at it.

    A flag and not an exception: a signal that raises may come in the middle of a step.
    """

    requested: bool = False

    def request(self) -> None:
        """Ask the job to stop at its next step."""
        self.requested = True


@dataclass(frozen=True)
class Checkpoints:
    """States by name in a folder; a state of other rows or hyperparameters is not read.

    `key` names data and hyperparameters. Without a folder nothing is kept.
    """

    folder: Path | None = None
    key: str = ""
    stop: StopRequest = field(default_factory=StopRequest)

    def load(self, name: str) -> dict[str, Any] | None:
        """Return the state last saved by a job of the same key; None when there is none."""
        path = self._path(name)
        if path is None or not path.exists():
            return None
        try:
            stored = torch.load(path, weights_only=True)
            usable = stored["key"] == self.key
        except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError) as error:
            say(f"checkpoint {path.name} cannot be read, starting afresh: {error}")
            return None
        except pickle.UnpicklingError:
            say(f"checkpoint {path.name} cannot be read, starting afresh")
            return None
        if not usable:
            say(f"checkpoint {path.name} is of other data or settings, not used")
            return None
        state: dict[str, Any] = stored["state"]
        return state

    def save(self, name: str, state: Mapping[str, Any]) -> None:
        """Replace the state of that name."""
        path = self._path(name)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save({"key": self.key, "state": dict(state)}, partial)
        os.replace(partial, path)

    def of_search(self, number: int) -> Checkpoints:
        """Return those of fits to fewer rows, beside these."""
        folder = None if self.folder is None else self.folder / f"search_{number}"
        return replace(self, folder=folder, key=f"{self.key} {number}")

    def _path(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{name}.pt"
