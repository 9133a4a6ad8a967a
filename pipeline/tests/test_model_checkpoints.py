"""A job that is stopped and goes on: the same bits as one that was not; what it leaves behind."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model import fitting, model_card, onnx_export, train
from pipeline.model.checkpoints import Checkpoints, Interrupted, StopRequest
from pipeline.model.scoring import Model, reconstruct
from pipeline.model.training_metrics import METRIC_DEFINITIONS, METRICS, line
from pipeline.tests import healthy
from pipeline.tests.test_model_training import write


@dataclass
class StopAfter(StopRequest):
    """Stops at the step of that number, counted over all fits."""

    steps: int = 0

    @property  # type: ignore[misc]
    def requested(self) -> bool:
        self.steps -= 1
        return self.steps < 0

    @requested.setter
    def requested(self, value: bool) -> None:
        assert not value


def job(folder: Path, **more: str) -> dict[str, str]:
    values = {"feature_spec": healthy.SPEC.to_json(), "epochs": "3", "folds": "3"}
    return {
        "SM_HPS": json.dumps(values | {"smoothing_rows": "3"} | more),
        "SM_CHANNEL_TRAIN": str(folder / "data"),
        "SM_MODEL_DIR": str(folder / "model"),
        "SAGEMAKER_BASE_DIR": str(folder),
    }


def model_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "model").iterdir())}


@cache
def uninterrupted() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(healthy.dataset(1), folder / "data" / "part.parquet")
        train.run(job(folder))
        return model_files(folder)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 150), min_size=1, max_size=3))
def test_stopped_after_any_steps_and_run_again_it_gives_the_same_bytes(stops: list[int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(healthy.dataset(1), folder / "data" / "part.parquet")
        for steps in stops:
            try:
                train.run(job(folder), StopAfter(steps=steps))
            except Interrupted:
                assert not (folder / "model").exists()
        train.run(job(folder))
        assert model_files(folder) == uninterrupted()


def test_killed_between_two_saves_it_goes_on_from_the_last_epoch(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    class Dying(Checkpoints):
        def save(self, name: str, state: object) -> None:
            super().save(name, state)  # type: ignore[arg-type]
            if name == "fold_1":
                raise Killed

    data, chosen = healthy.dataset(1), healthy.chosen()
    with pytest.raises(Killed):
        fitting.train(data, chosen, Dying(tmp_path, "k"))
    resumed = fitting.train(data, chosen, Checkpoints(tmp_path, "k"))
    whole = fitting.train(data, chosen)
    assert resumed.metrics == whole.metrics
    for one, other in zip(resumed.network.layers(), whole.network.layers(), strict=True):
        assert one[0].tobytes() == other[0].tobytes()
        assert one[1].tobytes() == other[1].tobytes()


def test_stopped_in_a_fold_it_leaves_a_model_that_says_so(tmp_path: Path) -> None:
    write(healthy.dataset(1), tmp_path / "data" / "part.parquet")
    usable = None
    for steps in range(60, 200, 10):
        try:
            usable = train.run(job(tmp_path), StopAfter(steps=steps))
            break
        except Interrupted:
            pass
    assert usable is not None
    assert not usable.complete
    card = json.loads((tmp_path / "model" / model_card.CARD_FILE).read_text())
    assert card["complete"] is False
    assert card["model_version"].endswith("-stopped")
    assert (
        usable.metrics["machine_days"]
        < fitting.train(healthy.dataset(1), healthy.chosen()).metrics["machine_days"]
    )


def test_a_checkpoint_of_other_data_or_a_broken_one_is_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Checkpoints(tmp_path, "one")
    kept.save("served", {"epoch": 3})
    assert kept.load("served") == {"epoch": 3}
    assert Checkpoints(tmp_path, "other").load("served") is None
    (tmp_path / "served.pt").write_bytes((tmp_path / "served.pt").read_bytes()[:100])
    assert kept.load("served") is None
    (tmp_path / "served.pt").write_bytes(b"")
    assert kept.load("served") is None
    printed = capsys.readouterr().out
    assert "of other data or settings" in printed
    assert "cannot be read" in printed


def test_the_metric_definitions_find_each_metric_and_its_last_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(healthy.dataset(1), tmp_path / "data" / "part.parquet")
    metrics = train.run(job(tmp_path)).metrics
    printed = capsys.readouterr().out
    assert {definition["Name"] for definition in METRIC_DEFINITIONS} == set(METRICS) == set(metrics)
    for definition in METRIC_DEFINITIONS:
        found = re.findall(definition["Regex"], printed)
        assert float(found[-1]) == pytest.approx(metrics[definition["Name"]], rel=1e-6)
    for name in ("train_loss", "validation_loss"):
        curve = next(d["Regex"] for d in METRIC_DEFINITIONS if d["Name"] == name)
        assert len(re.findall(curve, printed)) == 4, "three epochs of the served model, the end"
    assert line({"a": 0.5, "b": 2.0}) == "a=0.5; b=2;"


def test_the_card_says_what_the_model_was_made_of(tmp_path: Path) -> None:
    data = healthy.dataset(1)
    write(data, tmp_path / "data" / "part.parquet")
    train.run(job(tmp_path))
    card = json.loads((tmp_path / "model" / model_card.CARD_FILE).read_text())
    described = card["training_data"]
    assert described["rows"] == len(data)
    assert described["devices"] == ["m0", "m1", "m2"]
    assert (described["first"], described["last"]) == (
        "1970-01-01T00:00:05.000Z",
        "1970-01-01T00:16:40.000Z",
    )
    (file,) = described["files"]
    stored = tmp_path / "data" / "part.parquet"
    assert file == model_card.data_files([stored])[0]
    assert file["size_bytes"] == stored.stat().st_size
    assert card["code_sha256"] == model_card.code_sha256()
    assert card["complete"] is True


def test_another_line_of_code_is_another_code_hash(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    before = model_card.code_sha256(tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "b.py").write_text("x = 1\n")
    assert model_card.code_sha256(tmp_path) == before
    (tmp_path / "a.py").write_text("x = 2\n")
    assert model_card.code_sha256(tmp_path) != before


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    model = fitting.train(healthy.dataset(1), healthy.chosen()).artefact.model
    made = onnx_export.graph(model, "v1").SerializeToString()
    return onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-3, 8))
def test_onnx_runtime_reconstructs_as_numpy_does(
    session: onnxruntime.InferenceSession, seed: int, exponent: float
) -> None:
    model = fitted_model()
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((20, healthy.WIDTH)) * 10.0**exponent
    features[rng.random(features.shape) < 0.1] = np.nan
    features[rng.random(features.shape) < 0.02] = np.inf
    units = rng.choice(["m0", "m1", "m2", "new"], 20).tolist()
    sent = {"features": features[:, model.columns], "unit": model.baselines.positions(units)}
    z, rebuilt = session.run(None, sent)
    expected = model.baselines.normalise(units, features[:, model.columns])
    np.testing.assert_allclose(z, expected, rtol=1e-12)
    np.testing.assert_allclose(rebuilt, reconstruct(model.layers, expected), atol=1e-5)
    assert session.get_modelmeta().custom_metadata_map == {"model_version": "v1"}


@cache
def fitted_model() -> Model:
    return fitting.train(healthy.dataset(1), healthy.chosen()).artefact.model


def test_serving_imports_neither_torch_nor_onnx() -> None:
    code = (
        "import sys, pipeline.model.server, pipeline.model.container; "
        "print(sorted({'torch', 'onnx', 'onnxruntime', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
