"""A model as it is stored: the archive that a training job leaves, read back with its card.

The evaluation reads a candidate and the current model, the training the current one.
"""

from __future__ import annotations

import json
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from pipeline.errors import ModelNotReady, SettingsError
from pipeline.features import feature_names
from pipeline.model import artefact, model_card
from pipeline.settings import FeatureSpec
from pipeline.unpacking import unpack

ARCHIVE_FILE = "model.tar.gz"


@dataclass(frozen=True)
class Stored:
    """A model as it is stored: what scores, and its card."""

    artefact: artefact.Artefact
    card: Mapping[str, Any]

    @property
    def spec(self) -> FeatureSpec:
        """The features it was trained on."""
        return FeatureSpec.parse(self.card["hyperparameters"]["feature_spec"])

    @property
    def designed_per_machine_day(self) -> float:
        """The rate of false alarms that its threshold is meant to have."""
        return float(self.card["calibration"]["designed_false_alarms_per_machine_day"])

    @property
    def trained_ms(self) -> tuple[int, int]:
        """The times of the first and the last row that it was trained on."""
        data = self.card["training_data"]
        return model_card.time_ms(data["first"]), model_card.time_ms(data["last"])


def read_model(folder: Path) -> Stored:
    """Unpack and load the model.tar.gz of a folder; raises ModelNotReady."""
    archive = folder / ARCHIVE_FILE
    with tempfile.TemporaryDirectory() as place:
        try:
            with tarfile.open(archive, "r:gz") as packed:
                unpack(packed, Path(place))
        except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
            raise ModelNotReady(f"{folder.name}/{ARCHIVE_FILE}: no archive: {error}") from error
        try:
            card = json.loads(Path(place, model_card.CARD_FILE).read_text(encoding="utf-8"))
            stored = Stored(artefact.load(Path(place)), card)
            _ = stored.spec, stored.designed_per_machine_day, stored.trained_ms
        except ModelNotReady as error:
            # The folder is a temporary one: its name says nothing.
            raise ModelNotReady(f"{folder.name}/{ARCHIVE_FILE}: {error}") from error
        except (OSError, ValueError, KeyError, TypeError, BadZipFile, SettingsError) as error:
            words = f"{folder.name}/{ARCHIVE_FILE}: no usable model: {error!r}"
            raise ModelNotReady(words) from error
    names = feature_names(stored.spec)
    if stored.artefact.feature_names != names:
        raise ModelNotReady(
            f"{folder.name}/{ARCHIVE_FILE}: its features are not those of its own feature spec"
        )
    return stored
