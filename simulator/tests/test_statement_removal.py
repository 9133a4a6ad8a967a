"""Every statement of every role, taken away: some call that the acceptance tests made is denied.

Generated from the committed template; the calls are `golden/permitted_calls.json`
(`recorded_calls` says how to record them anew), and `Iam` decides. What such a denial does to the
step that meets it, `test_permissions_end_to_end` shows on a twin.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from simulator.cloud import iam_usage
from simulator.cloud.assembly import load_assembly
from simulator.cloud.cloud import Cloud
from simulator.cloud.iam import Iam
from simulator.cloud.operations import Principal
from simulator.cloud.template import deploy
from simulator.targets import SNAPSHOT
from simulator.tests.conftest import FinishedRun
from simulator.tests.recorded_calls import RecordedCall, golden

ACCOUNT = "000000000000"

# Statements that no call of the twin needs, by Sid, and why AWS needs them.
NOT_NEEDED = {
    "LogInToRegistry": "AWS pulls a container's image in the role's name; the twin has it at hand",
    "PullImage": "AWS pulls a container's image in the role's name; the twin has it at hand",
    "WriteLogs": "AWS writes what code prints in the role's name; the twin writes it as itself",
    "HearOfTheEnd": "how `.sync` hears of a job's end on AWS; the twin's clock tells it",
    "HearOfTheBest": "how `.sync` hears of a job's end on AWS; the twin's clock tells it",
    "HearOfTheVerdict": "how `.sync` hears of a job's end on AWS; the twin's clock tells it",
    "LendTables": "Lake Formation lends its role on AWS; the twin reads tables' files itself",
    "ListTables": "Lake Formation lends its role on AWS; the twin reads tables' files itself",
    "FindFailureBucket": "Lambda looks for the bucket before it writes there; the twin knows it",
}

# Actions of statements that are needed, which nobody asks for here.
NOT_ASKED = {
    "dynamodb:UpdateItem": "an episode that ends while it is being kept",
    "glue:BatchStopJobRun": "an execution that is stopped while the job runs",
    "glue:GetJobRuns": "how `.sync` looks for its run on AWS",
    "glue:UpdateTable": "a table of an earlier version",
    "kinesis:DescribeStream": "how Lambda polls on AWS; the twin asks for the shards",
    "kinesis:DescribeStreamSummary": "how Lambda polls on AWS; the twin asks for the shards",
    "s3:AbortMultipartUpload": "a transfer that breaks off within a large file",
    "sagemaker:AddTags": "`.sync` marks its jobs on AWS",
    "sagemaker:ListTags": "`.sync` marks its jobs on AWS",
    "sagemaker:StopTransformJob": "an execution that is stopped while the job runs",
    "states:StopExecution": "an execution that is stopped while another runs for it",
    "sagemaker:StopHyperParameterTuningJob": "an execution that is stopped while the job runs",
    "sagemaker:StopProcessingJob": "an execution that is stopped while the job runs",
    "sagemaker:StopTrainingJob": "an execution that is stopped while the job runs",
}


def statements() -> Iterator[tuple[str, str]]:
    """Yield (role, Sid) of every statement in the template."""
    template = json.loads((SNAPSHOT / "FleetwinDev.template.json").read_text("utf-8"))
    for body in template["Resources"].values():
        if body["Type"] == "AWS::IAM::Role":
            properties = body["Properties"]
            assert "ManagedPolicyArns" not in properties
            for policy in properties["Policies"]:
                for statement in policy["PolicyDocument"]["Statement"]:
                    yield properties["RoleName"], statement["Sid"]


STATEMENTS = list(statements())
CALLS = golden()


class Account:
    """The permissions of a twin that has booted, and its roles' policies to be changed."""

    def __init__(self, iam: Iam) -> None:
        self.iam = iam
        self.documents: dict[str, dict[str, Mapping[str, Any]]] = {}
        for method, arguments in list(iam.history):
            if method == "put_role":
                self.documents[arguments[0]] = dict(arguments[2])
            assert method not in ("put_role_policy", "put_managed_policy", "attach")

    def denied(self, calls: list[RecordedCall]) -> list[RecordedCall]:
        """Return those of the calls that are denied."""
        return [call for call in calls if not self.iam.may(principal(call.role), *asked(call))]

    def denied_without(self, role: str, sid: str, action: str = "") -> list[RecordedCall]:
        """Return a role's calls that are denied without a statement, or one action of it."""
        arn = principal(role).role_arn
        assert arn is not None
        calls = [call for call in CALLS if call.role == role]
        documents = self.documents[arn]
        try:
            for name, document in documents.items():
                left = list(without(document["Statement"], sid, action))
                self.iam.put_role_policy(arn, name, {**document, "Statement": left})
            return self.denied(calls)
        finally:
            for name, document in documents.items():
                self.iam.put_role_policy(arn, name, document)

    def actions(self, role: str, sid: str) -> list[str]:
        """Return the actions of a statement."""
        documents = self.documents[principal(role).role_arn or ""].values()
        for statement in (each for document in documents for each in document["Statement"]):
            if statement["Sid"] == sid:
                found = statement["Action"]
                return [found] if isinstance(found, str) else list(found)
        raise KeyError(sid)


def without(statements: list[dict[str, Any]], sid: str, action: str) -> Iterator[dict[str, Any]]:
    """Yield the statements that are left without one, or with an action less in it."""
    for statement in statements:
        if statement["Sid"] != sid:
            yield statement
        elif action:
            left = [each for each in statement["Action"] if each != action]
            yield {**statement, "Action": left}


def principal(role: str) -> Principal:
    """Return a session of a role."""
    return Principal(
        f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/s", f"arn:aws:iam::{ACCOUNT}:role/{role}"
    )


def asked(call: RecordedCall) -> tuple[str, str, dict[str, str | tuple[str, ...]]]:
    """Return what `Iam.may` is asked about a call."""
    listed = {key: tuple(v) if isinstance(v, list) else v for key, v in call.context.items()}
    return call.action, call.resource, listed


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """Return the permissions that the committed template gives."""
    # With the parameters that bring the roles of conditions about.
    parameters = {"MaintenanceServer": "plant", "AgentActivationKey": "-".join(["LOCAL"] * 5)}
    twin = Cloud(datetime(2026, 1, 5, tzinfo=UTC), tmp_path_factory.mktemp("roles"))
    try:
        deploy(load_assembly(SNAPSHOT), twin.context, parameters)
        yield Account(twin.iam)
    finally:
        twin.close()


def test_the_template_allows_every_call_that_was_recorded(account: Account) -> None:
    assert account.denied(CALLS) == []


@pytest.mark.parametrize(("role", "sid"), STATEMENTS)
def test_without_a_statement_a_call_is_denied_or_it_is_listed_why_not(
    account: Account, role: str, sid: str
) -> None:
    denied = account.denied_without(role, sid)
    if sid in NOT_NEEDED:
        assert denied == [], f"{sid} is needed: take it out of NOT_NEEDED"
    else:
        assert denied, f"no recorded call needs {sid} of {role}: record anew, remove it or list it"


@pytest.mark.parametrize(("role", "sid"), STATEMENTS)
def test_without_an_action_of_a_statement_a_call_is_denied_or_it_is_listed_why_not(
    account: Account, role: str, sid: str
) -> None:
    actions = account.actions(role, sid)
    if sid in NOT_NEEDED or len(actions) == 1:
        return
    idle = [action for action in actions if not account.denied_without(role, sid, action)]
    assert [action for action in idle if action not in NOT_ASKED] == []


def test_a_run_still_makes_the_calls_that_were_recorded_of_one(tiny_run: FinishedRun) -> None:
    observed = iam_usage.observed(tiny_run.out / "twin")
    made = {(each.role_arn.rpartition("/")[2], each.action) for each in observed if each.allowed}
    assert {(call.role, call.action) for call in CALLS if call.test == "test_run.py"} <= made


def test_the_tables_name_nothing_that_is_not_there(account: Account) -> None:
    assert NOT_NEEDED.keys() <= {sid for _, sid in STATEMENTS}
    actions = {each for role, sid in STATEMENTS for each in account.actions(role, sid)}
    assert NOT_ASKED.keys() <= actions
