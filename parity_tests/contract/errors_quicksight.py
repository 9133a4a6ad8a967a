"""Refused calls of QuickSight."""

from __future__ import annotations

from typing import Any

from parity_tests.contract.errors import ErrorCases, twice
from parity_tests.contract.examples_quicksight import ACCOUNT, MAKERS, source_params
from parity_tests.contract.world import World

quicksight = ErrorCases()


def _undeclared(w: World) -> dict[str, Any]:
    params = MAKERS["Analysis"](w)
    params["Definition"]["CalculatedFields"] = [
        {"DataSetIdentifier": "other", "Name": "n", "Expression": "1"}
    ]
    return params


quicksight.add(
    "quicksight",
    "ResourceNotFoundException",
    "DescribeDashboard",
    lambda w: {**ACCOUNT, "DashboardId": "none"},
)
quicksight.add(
    "quicksight",
    "ResourceExistsException",
    "CreateDataSource",
    twice(("quicksight", "CreateDataSource"), source_params),
)
quicksight.add("quicksight", "InvalidParameterValueException", "CreateAnalysis", _undeclared)
quicksight.add(
    "quicksight",
    "AccessDeniedException",
    "ListDataSets",
    lambda w: {"AwsAccountId": "999999999999"},
)
