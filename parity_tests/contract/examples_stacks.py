"""Examples of CloudFormation: what a stack is made of."""

from __future__ import annotations

from typing import Any

from parity_tests.contract.examples import Examples
from parity_tests.contract.world import World

stacks = Examples("cloudformation")


def _stack(w: World) -> dict[str, Any]:
    (found,) = w.do("cloudformation", "DescribeStacks")["Stacks"]
    return {"StackName": found["StackId"]}


_HEAD = "StackId StackName CreationTime StackStatus"
stacks.add(
    "DescribeStacks",
    _stack,
    " ".join(
        f"Stacks.{name}"
        for name in f"{_HEAD} Parameters.ParameterKey Parameters.ParameterValue".split()
    ),
)
stacks.add(
    "ListStacks",
    lambda w: {"StackStatusFilter": ["CREATE_COMPLETE"]},
    " ".join(f"StackSummaries.{name}" for name in _HEAD.split()),
)
_RESOURCE = "LogicalResourceId PhysicalResourceId ResourceType ResourceStatus"
stacks.add(
    "ListStackResources",
    _stack,
    " ".join(f"StackResourceSummaries.{name}" for name in _RESOURCE.split())
    + " StackResourceSummaries.LastUpdatedTimestamp NextToken",
)
stacks.add(
    "DescribeStackResources",
    _stack,
    " ".join(f"StackResources.{name}" for name in f"{_RESOURCE} StackName Timestamp".split()),
)
stacks.add(
    "DescribeStackEvents",
    _stack,
    " ".join(
        f"StackEvents.{name}" for name in f"{_RESOURCE} StackId StackName EventId Timestamp".split()
    )
    + " NextToken",
)
