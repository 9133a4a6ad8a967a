"""What the nightly workflow makes of a time and of the features job's report."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra_cdk.config import NIGHTLY_LIMITS
from simulator.cloud.asl_execution import Execution
from simulator.cloud.tests.workflow_bench import Bench
from simulator.tests.workflow_stand_ins import FOLDER

LIMITS = {"MaxMalformedShare": "malformed", "MaxLateShare": "late"}
count = st.one_of(st.just(0), st.integers(0, 400))


def run(states: list[str], data: dict[str, Any]) -> Execution:
    """Run some states of the workflow one after the other, to `IsQualityGood` or their end."""
    text = (FOLDER / "nightly.asl.json").read_text("utf-8")
    for name, limit in LIMITS.items():
        text = text.replace(f"${{{name}}}", str(NIGHTLY_LIMITS[limit]))
    known = json.loads(text)["States"]
    kept = {name: known[name] for name in states}
    kept[states[-1]] = {key: value for key, value in kept[states[-1]].items() if key != "Next"}
    kept[states[-1]]["End"] = True
    bench = Bench()
    arn = bench.create({"StartAt": states[0], "States": kept}, "nightly")
    answer = bench.do("StartExecution", stateMachineArn=arn, input=json.dumps(data))
    execution = bench.workflows.execution(answer["executionArn"])
    bench.engine.run(execution.done)
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    return execution


@settings(max_examples=40, deadline=None)
@given(epoch_s=st.integers(0, 4_102_444_800))
def test_a_time_stands_for_the_utc_day_before_it(epoch_s: int) -> None:
    at = datetime.fromtimestamp(epoch_s, UTC)
    told = run(["WhichDay"], {"time": at.strftime("%Y-%m-%dT%H:%M:%SZ")}).output
    found = json.loads(str(told))
    end = at.replace(hour=0, minute=0, second=0)
    start = end - timedelta(days=1)
    assert datetime.fromisoformat(found["start"]) == start
    assert datetime.fromisoformat(found["end"]) == end
    assert found["day"] == f"{start:%Y-%m-%d}"


@settings(max_examples=60, deadline=None)
@given(readings=count, bursts=count, malformed=count, late=count, rows=count)
def test_a_day_is_poor_when_a_share_is_above_its_limit_or_no_row_came_out(
    readings: int, bursts: int, malformed: int, late: int, rows: int
) -> None:
    late = min(late, readings + bursts)
    counts = {
        "readings": readings,
        "bursts": bursts,
        "malformed": malformed,
        "late": late,
        "rows": rows,
    }
    data = {"start": "s", "end": "e", "day": "d", "quality": {"report": {"counts": counts}}}
    found = json.loads(str(run(["JudgeQuality"], data).output))
    messages = readings + bursts
    malformed_share = malformed / max(1, messages + malformed)
    expected = [
        name
        for name, share in (("malformed", malformed_share), ("late", late / max(1, messages)))
        if share > NIGHTLY_LIMITS[name]
    ] + (["no feature row"] if rows == 0 else [])
    said = found["broken"].split("; ") if found["broken"] else []
    assert [words.partition(" 0")[0].partition(" 1")[0] for words in said] == expected
    assert {key: found[key] for key in ("start", "end", "day")} == {
        "start": "s", "end": "e", "day": "d",
    }  # fmt: skip
    assert "quality" not in found, "what follows needs no report"


@pytest.mark.parametrize("name", LIMITS)
def test_the_workflow_has_each_limit(name: str) -> None:
    assert f"${{{name}}}" in (FOLDER / "nightly.asl.json").read_text("utf-8")
