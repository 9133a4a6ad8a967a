"""Dispatch: validate, authorise, meter, execute, in this order; the rest is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.cloud.dispatch import Dispatch
from simulator.cloud.engine import Engine
from simulator.cloud.errors import AccessDenied, AwsError, NotSupportedByTwin, ValidationError
from simulator.cloud.iam import Iam
from simulator.cloud.operations import Call, Operation, Params, Principal, passed_roles
from simulator.cloud.quotas import RATES, Quotas, Rate
from simulator.cloud.tests.fakes import START

ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
PASSED = f"arn:aws:iam::{ACCOUNT}:role/passed"
STREAM = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/S"
TRUST = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    },
}


def allow(action: str, resource: str, **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    return {"Version": "2012-10-17", "Statement": statement}


class Bench:
    """A dispatch with a few operations that note what reached them."""

    def __init__(self) -> None:
        self.iam = Iam(ACCOUNT)
        self.iam.put_role(ROLE, TRUST)
        self.engine = Engine(START)
        rates = {("kinesis", "DescribeStream"): Rate(1, 1, "LimitExceededException")}
        self.dispatch = Dispatch(self.iam, Quotas(self.engine, rates))
        self.executed: list[Call] = []
        self.resource = STREAM
        self.dispatch.register(
            "kinesis",
            {
                "DescribeStream": Operation(self._note, resources=lambda params: [self.resource]),
                "MergeShards": Operation(
                    self._note, resources=lambda params: [STREAM, f"{STREAM}-2"]
                ),
            },
        )
        self.dispatch.register(
            "lambda",
            {
                "CreateFunction": Operation(
                    self._note, passes_role={"Role": "lambda.amazonaws.com"}
                ),
                "Invoke": Operation(
                    self._note,
                    action=lambda params: f"lambda:Invoke{params.get('Qualifier', 'Function')}",
                ),
            },
        )
        self.dispatch.register("stepfunctions", {"ListActivities": Operation(self._note)})

    def _note(self, call: Call) -> dict[str, Any]:
        self.executed.append(call)
        return {"done": True}

    def may(self, action: str, resource: str, **more: Any) -> None:
        self.iam.put_role_policy(ROLE, action, allow(action, resource, **more))

    def do(self, service: str, operation: str, *, root: bool = False, **params: Any) -> Any:
        worker: Principal = self.iam.principal_for_role(ROLE, "me")
        return self.dispatch(self.dispatch.root if root else worker, service, operation, params)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_is_allowed_is_executed_with_the_caller_and_its_parameters(bench: Bench) -> None:
    bench.may("kinesis:DescribeStream", STREAM)
    assert bench.do("kinesis", "DescribeStream", StreamName="S") == {"done": True}
    [call] = bench.executed
    assert call.params == {"StreamName": "S"}
    assert call.principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/me"


def test_an_operation_that_is_not_there_is_refused_by_name_whoever_asks(bench: Bench) -> None:
    for service, operation in [("kinesis", "Nonsense"), ("braket", "CreateJob")]:
        with pytest.raises(NotSupportedByTwin, match=f"{service}:{operation}") as error:
            bench.do(service, operation, root=True)
        assert error.value.status == 501


def test_a_malformed_request_is_told_before_a_missing_permission(bench: Bench) -> None:
    with pytest.raises(ValidationError):
        bench.do("kinesis", "DescribeStream", StreamName="S", Limit="many")
    assert bench.iam.observed == {}


def test_a_caller_without_permission_costs_no_quota(bench: Bench) -> None:
    for _ in range(3):
        with pytest.raises(AccessDenied):
            bench.do("kinesis", "DescribeStream", StreamName="S")
    bench.may("kinesis:DescribeStream", STREAM)
    assert bench.do("kinesis", "DescribeStream", StreamName="S")


def test_what_is_over_a_quota_is_not_executed_and_root_is_metered_too(bench: Bench) -> None:
    bench.do("kinesis", "DescribeStream", root=True, StreamName="S")
    with pytest.raises(AwsError) as error:
        bench.do("kinesis", "DescribeStream", root=True, StreamName="S")
    assert error.value.code == "LimitExceededException"
    assert error.value.message == f"Rate exceeded for stream S under account {ACCOUNT}."
    assert len(bench.executed) == 1
    bench.engine.run(1.0)
    bench.do("kinesis", "DescribeStream", root=True, StreamName="S")


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate() -> None:
    engine = Engine(START)
    quotas = Quotas(engine)
    rate = RATES["stepfunctions", "StartExecution"]

    def admitted() -> int:
        count = 0
        with pytest.raises(AwsError, match="ThrottlingException: Rate exceeded"):  # noqa: PT012
            while True:
                quotas.admit("stepfunctions", "StartExecution", {})
                count += 1
        return count

    assert admitted() == rate.burst == 1300
    engine.run(0.5)
    assert admitted() == rate.per_s / 2 == 150
    engine.run(1_000.0)
    assert admitted() == rate.burst


def test_every_resource_must_be_allowed(bench: Bench) -> None:
    merge: dict[str, Any] = {"StreamName": "S", "ShardToMerge": "a", "AdjacentShardToMerge": "b"}
    bench.may("kinesis:MergeShards", STREAM)
    with pytest.raises(AccessDenied, match=f"{STREAM}-2"):
        bench.do("kinesis", "MergeShards", **merge)
    bench.may("kinesis:*", f"{STREAM}*")
    assert bench.do("kinesis", "MergeShards", **merge)


def test_the_action_is_iams_and_not_botocores_name(bench: Bench) -> None:
    with pytest.raises(AccessDenied, match="states:ListActivities"):
        bench.do("stepfunctions", "ListActivities")
    with pytest.raises(AccessDenied, match="lambda:InvokeLATEST"):
        bench.do("lambda", "Invoke", FunctionName="f", Qualifier="LATEST")


CREATE: Params = {"FunctionName": "f", "Code": {"ZipFile": b""}, "Role": PASSED}


def test_handing_a_role_to_a_service_needs_pass_role_for_that_service(bench: Bench) -> None:
    bench.may("lambda:CreateFunction", "*")
    with pytest.raises(AccessDenied, match="iam:PassRole"):
        bench.do("lambda", "CreateFunction", **CREATE)
    condition = {"StringEquals": {"iam:PassedToService": "glue.amazonaws.com"}}
    bench.may("iam:PassRole", PASSED, Condition=condition)
    with pytest.raises(AccessDenied, match="iam:PassRole"):
        bench.do("lambda", "CreateFunction", **CREATE)
    condition = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    bench.may("iam:PassRole", PASSED, Condition=condition)
    assert bench.do("lambda", "CreateFunction", **CREATE)
    with pytest.raises(AccessDenied, match="iam:PassRole"):
        bench.do("lambda", "CreateFunction", **{**CREATE, "Role": ROLE})


@pytest.mark.parametrize(
    ("params", "passed"),
    [
        ({"Job": {"Role": PASSED}}, [(PASSED, "lambda.amazonaws.com")]),
        ({"Job": {"Role": PASSED}, "Role": ROLE}, [(PASSED, "lambda.amazonaws.com")]),
        ({"Job": {}}, []),
        ({"Role": PASSED}, []),
        ({"Job": [{"Role": PASSED}]}, []),
    ],
)
def test_a_role_that_is_handed_over_may_stand_deeper_in_a_request(
    params: Params, passed: list[tuple[str, str]]
) -> None:
    operation = Operation(lambda call: {}, passes_role={"Job.Role": "lambda.amazonaws.com"})
    assert list(passed_roles(operation, params)) == passed


def test_root_needs_no_policy(bench: Bench) -> None:
    assert bench.do("lambda", "CreateFunction", root=True, **CREATE)
    assert bench.iam.observed == {}


def test_an_operation_belongs_to_one_place(bench: Bench) -> None:
    with pytest.raises(ValueError, match="kinesis:MergeShards is registered twice"):
        bench.dispatch.register("kinesis", {"MergeShards": Operation(lambda call: {})})
    assert bench.dispatch.supported() == sorted(set(bench.dispatch.supported()))
