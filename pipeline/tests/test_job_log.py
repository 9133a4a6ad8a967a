"""Lines of jobs: JSON with the job's name, in which metric definitions still find their values."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import job_log
from pipeline.model import training_metrics


@pytest.mark.parametrize(
    ("training_job", "config", "told"),
    [
        ("a-1", None, {"event": "training_job", "job": "a-1"}),
        ("", '{"ProcessingJobName": "p-1"}', {"event": "processing_job", "job": "p-1"}),
        ("", None, {}),
        ("", "no JSON", {}),
    ],
)
def test_a_line_names_its_job(
    training_job: str,
    config: str | None,
    told: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if config is not None:
        (tmp_path / "config").mkdir()
        (tmp_path / job_log.CONFIG).write_text(config)
    monkeypatch.setenv(job_log.BASE_DIR, str(tmp_path))
    monkeypatch.setenv(job_log.TRAINING_JOB, training_job)
    job_log.say("two\nlines", rows=3)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {**told, "message": "two\nlines", "rows": 3}


@given(st.floats(min_value=-1e300), st.floats(min_value=0.0) | st.just(float("nan")))
def test_a_metric_is_found_in_its_line_of_json(first: float, second: float) -> None:
    values = dict.fromkeys(training_metrics.METRICS, first) | {"threshold": second}
    line = json.dumps({"event": "training_job", "message": training_metrics.line(values)})
    for definition in training_metrics.METRIC_DEFINITIONS:
        found = re.findall(definition["Regex"], line)
        told = f"{values[definition['Name']]:.9g}"
        assert [each.removeprefix("-") for each in found] == [told.removeprefix("-")]
