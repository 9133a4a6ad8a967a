"""What somebody has deleted by hand is told as gone, and ends nothing."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from simulator.cloud.drift_answers import Answers, alias, permission
from simulator.cloud.drift_lake import ANSWERS, composite_alarm, log_group, metric_filter
from simulator.cloud.errors import AwsError


def empty(service: str, operation: str, **params: Any) -> dict[str, Any]:
    """Answer that nothing is there, whatever is listed."""
    return defaultdict(list, Policy='{"Statement": []}')


@pytest.mark.parametrize(
    "answers",
    [
        alias,
        permission,
        composite_alarm,
        log_group,
        metric_filter,
        ANSWERS["AWS::CloudWatch::Alarm"],
    ],
)
def test_what_a_listing_lacks_is_told_by_an_error_of_aws(answers: Answers) -> None:
    values = {"FunctionName": "f", "LogGroupName": "g"}
    with pytest.raises(AwsError, match="not there any more"):
        answers(empty, "name", values)
