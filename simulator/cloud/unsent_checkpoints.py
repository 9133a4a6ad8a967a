"""Checkpoints of a training job whose twin was killed, for the next job with the same `S3Uri`.

Used by `training_runs`. SageMaker copies checkpoints while a container works; the twin copies them
when its clock moves, which it does not while the container computes. So the folder of a job that
computes is noted beside it, and what is noted from a twin that no longer lives is copied to S3
before a job with the same `S3Uri` reads it from there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import simpy

from simulator.cloud.job_s3 import Mirror, RoleS3


class UnsentCheckpoints:
    """The notes of a twin's state folder, a file for each job that computes."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._notes = state / "sagemaker" / "unsent-checkpoints"
        self._own: set[str] = set()

    def note(self, job: str, place: Path, uri: str) -> None:
        """Say that a job of this twin begins to write checkpoints into a folder of the state."""
        if not place.is_relative_to(self._state):  # LocalPath may name any folder.
            return
        self._own.add(job)
        self._notes.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"S3Uri": uri, "folder": str(place.relative_to(self._state))})
        partial = self._notes / f".{job}"
        partial.write_text(text)
        partial.replace(self._note(job))

    def forget(self, job: str) -> None:
        """Say that S3 has all that a job wrote."""
        self._note(job).unlink(missing_ok=True)

    def send(self, uri: str, s3: RoleS3) -> Generator[simpy.Event, Any, None]:
        """Copy to S3 what jobs of earlier twins left for ``uri``."""
        for path in sorted(self._notes.glob("*.json")):
            note = json.loads(path.read_text())
            if path.stem in self._own or note["S3Uri"] != uri:
                continue
            place = self._state / note["folder"]
            yield from Mirror(s3, place, uri).send()
            shutil.rmtree(place, ignore_errors=True)
            self.forget(path.stem)

    def _note(self, job: str) -> Path:
        return self._notes / f"{job}.json"
