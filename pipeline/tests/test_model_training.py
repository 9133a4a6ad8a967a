"""A training run: the same in, the same out; unusable data is refused by name."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import DatasetError, ModelNotReady, SettingsError
from pipeline.features import feature_names
from pipeline.model import artefact, hyperparameters
from pipeline.model.dataset import Dataset, read_features
from pipeline.model.fitting import chosen_columns, train, version
from pipeline.settings import BURST_SENSOR, FeatureSpec
from pipeline.tests import healthy

NAMES = feature_names(healthy.SPEC)


def write(data: Dataset, path: Path, rows: slice = slice(None)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "device_id": np.array(data.device_ids)[rows].tolist(),
        "event_time_ms": data.event_time_ms[rows],
        "n": np.full(len(data.event_time_ms[rows]), 10),
    }
    columns |= {name: data.features[rows, place] for place, name in enumerate(NAMES)}
    pq.write_table(pa.table(columns), path)


def test_rows_come_back_sorted_and_once_however_they_are_filed(tmp_path: Path) -> None:
    data = healthy.dataset(1, units=2, rows=30)
    write(data, tmp_path / "dt=2026-01-05" / "hour=01" / "b.parquet", slice(20, 60))
    write(data, tmp_path / "dt=2026-01-05" / "hour=00" / "a.parquet", slice(0, 25))
    write(data, tmp_path / "_temporary" / "0" / "c.parquet", slice(0, 5))
    read = read_features(tmp_path, NAMES)
    assert read.device_ids == data.device_ids
    np.testing.assert_array_equal(read.event_time_ms, data.event_time_ms)
    np.testing.assert_array_equal(read.features, data.features)


def test_a_channel_without_files_or_with_other_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no Parquet file"):
        read_features(tmp_path, NAMES)
    write(healthy.dataset(1, rows=5), tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match=r"a\.parquet: no column 'other'"):
        read_features(tmp_path, ("other",))


def test_the_same_rows_and_hyperparameters_give_the_same_model(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        training = train(healthy.dataset(3), healthy.chosen())
        artefact.save(training.artefact, tmp_path / folder)
    for name in (artefact.DESCRIPTION_FILE, artefact.ARRAYS_FILE):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_another_row_or_hyperparameter_is_another_version() -> None:
    data = healthy.dataset(3)
    versions = {version(data, healthy.chosen()), version(data, healthy.chosen(seed="1"))}
    data.features[0, 0] += 1e-9
    versions.add(version(data, healthy.chosen()))
    assert len(versions) == 3


def test_a_saved_model_scores_as_the_fitted_one(tmp_path: Path) -> None:
    data = healthy.dataset(3)
    fitted = train(data, healthy.chosen()).artefact
    artefact.save(fitted, tmp_path)
    loaded = artefact.load(tmp_path)
    assert loaded.rule == fitted.rule
    assert loaded.combination == fitted.combination
    np.testing.assert_array_equal(
        loaded.model.parts(data.device_ids, data.features).of_residual,
        fitted.model.parts(data.device_ids, data.features).of_residual,
    )


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotReady, match="no model"):
        artefact.load(tmp_path)


def test_too_few_rows_are_refused_with_their_number() -> None:
    with pytest.raises(DatasetError, match="12 feature rows are too few"):
        train(healthy.dataset(1, units=2, rows=6), healthy.chosen())


def test_rows_that_never_change_are_refused() -> None:
    data = healthy.dataset(1)
    constant = dataclasses.replace(data, features=np.ones_like(data.features))
    with pytest.raises(DatasetError, match="do not vary"):
        train(constant, healthy.chosen())


def test_the_model_looks_at_the_chosen_statistics_and_at_all_burst_features() -> None:
    spec = FeatureSpec(sensors=("flow_mean", "flow"), limits=((0, 1), (0, 1)))
    names = feature_names(spec)
    chosen = [names[column] for column in chosen_columns(spec, ("mean",))]
    assert chosen[:2] == ["flow_mean_mean", "flow_mean"]
    assert all(name.startswith(BURST_SENSOR) for name in chosen[2:])
    assert len(chosen) > 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": "many"}, "epochs: must be a int"),
        ({"epochs": "0"}, "epochs: must be above 0"),
        ({"colour": "red"}, "colour: unknown hyperparameter"),
        ({"folds": "1"}, "folds: must be at least 2"),
        ({"statistics": "mean,mode"}, "statistics: 'mode' is not one of"),
        ({"exit_level": "1.5"}, "exit_level: must be above 0"),
        ({"unit_share": "2"}, "unit_share: must be from 0 to 1"),
        ({"feature_spec": "{"}, "FEATURE_SPEC: not JSON"),
    ],
)
def test_a_wrong_hyperparameter_is_named(changes: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        hyperparameters.parse({"feature_spec": healthy.SPEC.to_json(), **changes})


def test_hyperparameters_that_sagemaker_adds_are_left_alone() -> None:
    values = {"feature_spec": healthy.SPEC.to_json(), "_tuning_objective_metric": "threshold"}
    assert hyperparameters.parse(values).seed == 0


def test_another_spelling_of_the_feature_spec_is_no_other_version() -> None:
    loose = json.dumps(json.loads(healthy.SPEC.to_json()), indent=1)
    values = {"feature_spec": loose, "epochs": "3", "smoothing_rows": "3", "folds": "3"}
    assert hyperparameters.parse(values) == healthy.chosen()
