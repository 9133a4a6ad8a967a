"""What a tuning job may not ask for: each restriction that AWS documents has its error."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.cloud.errors import AccessDenied, AwsError, NotSupportedByTwin
from simulator.cloud.tests.job_fakes import ROLE
from simulator.cloud.tests.tuning_fakes import (
    TRAIN,
    Make,
    create,
    finish,
    request,
)


def _integers(low: str, high: str) -> dict[str, Any]:
    return {"IntegerParameterRanges": [{"Name": "x", "MinValue": low, "MaxValue": high}]}


def _objective_of(metric: str, kind: str = "Minimize") -> dict[str, str]:
    return {"Type": kind, "MetricName": metric}


WARM = {"name": "child", "strategy": "Bayesian"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"strategy": "Grid"}, "only categorical"),
        ({"jobs": None}, "MaxNumberOfTrainingJobs is required"),
        ({"definition": {"StaticHyperParameters": {"x": "1"}}}, "a range and a static value: x"),
        ({"HyperParameterTuningJobObjective": _objective_of("f1")}, "objective metric f1"),
        (
            {"ranges": _integers("1", "3")},
            r"ranges \[3.0\] must be equal or greater than the value of MaxNumberOfJobs, \[4\]",
        ),
        ({**WARM, "definition": {"StaticHyperParameters": {}}}, "another number"),
        (
            {**WARM, "HyperParameterTuningJobObjective": _objective_of("loss", "Maximize")},
            "objective of the parent",
        ),
        ({**WARM, "ranges": _integers("1", "9")}, "type of x"),
        ({"name": "child", "strategy": "Hyperband"}, "Bayesian and random"),
    ],
)
def test_what_does_not_go_together_is_refused(
    new_twin: Make, more: dict[str, Any], words: str
) -> None:
    twin, tuning = new_twin(TRAIN)
    if more.get("name") == "child":
        create(twin, "parent", jobs=1)
        with pytest.raises(AwsError, match="in status InProgress"):
            create(twin, "child", "Random", warm=("parent",))
        finish(twin, tuning, "parent")
        more = {**more, "warm": ("parent",)}
    with pytest.raises(AwsError, match=words) as refused:
        create(twin, **more)
    assert refused.value.code == "ValidationException"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"jobs": 501}, "ResourceLimitExceeded"),
        ({"at_once": 11}, "ResourceLimitExceeded"),
        ({"warm": ("none",)}, "ResourceNotFound"),
    ],
)
def test_limits_and_unknown_parents_have_their_codes(
    new_twin: Make, more: dict[str, Any], code: str
) -> None:
    twin, _ = new_twin(TRAIN)
    with pytest.raises(AwsError) as refused:
        create(twin, **more)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "more",
    [
        {"definition": {"EnableManagedSpotTraining": True}},
        {"definition": {"TuningObjective": {"Type": "Minimize", "MetricName": "loss"}}},
        {
            "TuningJobCompletionCriteria": {
                "ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}
            }
        },
    ],
)
def test_what_is_not_here_is_refused_by_name(new_twin: Make, more: dict[str, Any]) -> None:
    twin, _ = new_twin(TRAIN)
    with pytest.raises(NotSupportedByTwin):
        create(twin, **more)


def test_the_role_of_the_training_jobs_must_be_one_that_the_caller_may_pass(
    new_twin: Make,
) -> None:
    twin, _ = new_twin(TRAIN)
    twin.allow((["sagemaker:*"], ["*"]))
    caller = twin.iam.principal_for_role(ROLE, "me", service="sagemaker.amazonaws.com")
    with pytest.raises(AccessDenied, match="iam:PassRole"):
        twin.dispatch(caller, "sagemaker", "CreateHyperParameterTuningJob", request())


def test_static_values_may_change_ten_times_between_parent_and_child(new_twin: Make) -> None:
    twin, tuning = new_twin(TRAIN)
    static = {"epochs": "3", **{f"s{number}": "a" for number in range(6)}}
    values = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["0.1", "0.2", "0.3"]}]}
    definition = {"StaticHyperParameters": static}
    create(twin, "parent", jobs=1, ranges=values, definition=definition)
    finish(twin, tuning, "parent")
    # A changed word counts twice, a changed number once, a category that became static thrice.
    words = {f"s{number}": "b" for number in range(5)}
    changed = {"StaticHyperParameters": {**static, **words}}
    more: dict[str, Any] = {"warm": ("parent",), "jobs": 1, "ranges": values}
    create(twin, "child", **more, definition=changed)
    finish(twin, tuning, "child")
    changed = {"StaticHyperParameters": {**static, **words, "epochs": "4"}}
    with pytest.raises(AwsError, match="11 static values differ"):
        create(twin, "other", **more, definition=changed)
    wide = {"ContinuousParameterRanges": [{"Name": "s5", "MinValue": "0", "MaxValue": "1"}]}
    others = {name: value for name, value in static.items() if name != "s5"}
    changed = {"StaticHyperParameters": {**others, **words, "s4": "a", "x": "0.1"}}
    with pytest.raises(AwsError, match="11 static values differ"):
        create(twin, "third", **{**more, "ranges": wide}, definition=changed)


def test_the_training_jobs_of_parents_count_to_the_limit(new_twin: Make) -> None:
    twin, tuning = new_twin(TRAIN)
    create(twin, "parent", jobs=1)
    finish(twin, tuning, "parent")
    with pytest.raises(AwsError, match="MaxNumberOfTrainingJobs is 499"):
        create(twin, "child", warm=("parent",), jobs=500)
