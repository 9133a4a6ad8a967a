"""What passes by itself is tried again: each Task state against its operation's own error shapes.

Which errors an operation has is read of botocore's service models, and which of them pass by
itself of their names and traits, so that a new state, or a new error of a new model, is asked for
here. Not how often and how late: that is `test_workflow_failures`.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest

from simulator.cloud.asl_resources import Resource, failure_of, parse_resource
from simulator.cloud.errors import AwsError
from simulator.cloud.validation import operation_model
from simulator.tests.test_workflow_failures import FILES, OF_CLIENTS, waits
from simulator.tests.workflow_stand_ins import Injected, StandIns

PASSING = re.compile(
    "Throttl|Exceeded|Conflict|Concurrent|InUse|Internal(Server|Service|Error|Failure)"
    "|Unavailable|Time[dO]?[oO]ut|TooManyRequests"
)
LASTING = {
    ("sagemaker", "CreateModelPackage", "ResourceLimitExceeded"): (
        "so many versions in a group: nothing deletes any"
    ),
    ("application-autoscaling", "RegisterScalableTarget", "LimitExceededException"): (
        "so many targets in an account: nothing deletes any"
    ),
    ("application-autoscaling", "PutScalingPolicy", "LimitExceededException"): (
        "so many policies of a target: nothing deletes any"
    ),
    ("dynamodb", "PutItem", "ItemCollectionSizeLimitExceededException"): (
        "what a local secondary index may hold: it is full until something is deleted"
    ),
    **{
        ("sagemaker", f"Create{kind}Job", "ResourceInUse"): (
            "the name of a job is given once, whether that job runs or has ended"
        )
        for kind in ("HyperParameterTuning", "Processing", "Training", "Transform")
    },
}
"""(service, operation, error): why a state that waits and asks again gets the same answer."""


def passes(shape: Any) -> bool:
    """Tell by name and traits whether an error may be gone when it is asked again."""
    traits = shape.metadata
    status = traits.get("error", {}).get("httpStatusCode", 400)
    fault = traits.get("fault", False) or "retryable" in traits or status >= 500
    return bool(PASSING.search(shape.name)) or fault


def modelled(resource: Resource) -> list[tuple[str, str]]:
    """Return (name of the shape, name in Retry) of the operation's errors that may pass."""
    shapes = operation_model(resource.service, resource.operation).error_shapes
    return [
        (shape.name, str(failure_of(resource, AwsError(shape.name, "text")).error))
        for shape in shapes
        if passes(shape)
    ]


RESOURCES = {key: parse_resource(states[key[1]]["Resource"]) for key, (states, _) in FILES.items()}


@pytest.mark.parametrize(("file", "name"), FILES)
def test_a_task_tries_again_what_its_operations_model_says_may_pass(file: str, name: str) -> None:
    resource = RESOURCES[file, name]
    state = FILES[file, name][0][name]
    for shape, error in modelled(resource):
        lasting = (resource.service, resource.operation, shape) in LASTING
        assert bool(waits(state, error)) is not lasting, error


@pytest.mark.parametrize(("file", "name"), FILES)
def test_a_task_tries_again_where_no_answer_came(file: str, name: str) -> None:
    own_failure = str(failure_of(RESOURCES[file, name], AwsError("Unnamed", "text")).error)
    prefix = own_failure.partition(".")[0]
    for error in OF_CLIENTS:
        assert waits(FILES[file, name][0][name], f"{prefix}.{error}")


def test_a_candidate_whose_registration_got_no_answer_is_registered_once() -> None:
    states, language = FILES["training", "RegisterCandidate"]
    failure = Injected("SageMaker.SdkClientException", times=2)
    bench = StandIns(states, "RegisterCandidate", failure, language)
    execution = bench.run()
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    token = hashlib.md5(execution.arn.encode(), usedforsecurity=False).hexdigest()
    assert [params["ClientToken"] for _, _, params in bench.calls] == [token] * 3


def test_each_error_that_lasts_is_one_of_an_operation_in_use() -> None:
    found = {
        (resource.service, resource.operation, shape)
        for resource in RESOURCES.values()
        for shape, _ in modelled(resource)
    }
    assert set(LASTING) < found
    assert len(found - set(LASTING)) > 20


@pytest.mark.parametrize(
    ("name", "traits", "expected"),
    [
        ("KMSThrottlingException", {}, True),
        ("ResourceNumberLimitExceededException", {}, True),
        ("ReplicatedWriteConflictException", {}, True),
        ("OperationTimeoutException", {}, True),
        ("ModelTimedOut", {}, True),
        ("InvalidInputException", {}, False),
        ("InternalDependencyNameInvalid", {}, False),
        ("KMSDisabledException", {"error": {"httpStatusCode": 400, "senderFault": True}}, False),
        ("Unheard", {"retryable": {"throttling": False}}, True),
        ("Unheard", {"fault": True}, True),
        ("Unheard", {"error": {"httpStatusCode": 503}}, True),
    ],
)
def test_what_may_pass_is_known_by_name_and_traits(
    name: str, traits: dict[str, Any], expected: bool
) -> None:
    class Shape:
        pass

    shape: Any = Shape()
    shape.name, shape.metadata = name, traits
    assert passes(shape) is expected
