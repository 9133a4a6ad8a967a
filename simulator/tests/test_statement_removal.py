"""Every statement of every role, taken away: some call that the acceptance tests made is denied.

Generated from the committed template; the calls are `golden/permitted_calls.json`
(`recorded_calls` says how to record them anew), and `Iam` decides. What is denied where is
`golden/permissions.md`; what such a denial does to the step that meets it,
`test_permissions_end_to_end` shows on a twin.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulator.cloud import iam_usage
from simulator.cloud.asl_notices import DELIVERY
from simulator.tests import permissions
from simulator.tests.conftest import FinishedRun
from simulator.tests.permissions import CALLS, STATEMENTS, TABLE, Account

# Actions of statements that are needed, which nobody asks for here.
NOT_ASKED = {
    "glue:BatchStopJobRun": "an execution that is stopped while the job runs",
    "glue:GetJobRuns": "how `.sync` looks for its run on AWS",
    "glue:UpdateTable": "a table of an earlier version",
    "kinesis:DescribeStream": "how Lambda polls on AWS; the twin asks for the shards",
    "kinesis:DescribeStreamSummary": "how Lambda polls on AWS; the twin asks for the shards",
    "logs:CreateLogGroup": "of several jobs of a kind the first makes the group",
    "logs:DescribeLogStreams": "among what SageMaker's guide gives a role; who asks is not said",
    "s3:AbortMultipartUpload": "a transfer that breaks off within a large file",
    "sagemaker:AddTags": "`.sync` marks its jobs on AWS",
    "sagemaker:ListTags": "`.sync` marks its jobs on AWS",
    "sagemaker:StopTransformJob": "an execution that is stopped while the job runs",
    "states:StopExecution": "an execution that is stopped while another runs for it",
    "sagemaker:StopHyperParameterTuningJob": "an execution that is stopped while the job runs",
    "sagemaker:StopProcessingJob": "an execution that is stopped while the job runs",
    "sagemaker:StopTrainingJob": "an execution that is stopped while the job runs",
}


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    """Return the permissions that the committed template gives."""
    with permissions.account() as made:
        yield made


def test_the_template_allows_every_call_that_was_recorded(account: Account) -> None:
    assert account.denied(CALLS) == []


@pytest.mark.parametrize(("role", "sid"), STATEMENTS)
def test_without_a_statement_a_call_is_denied(account: Account, role: str, sid: str) -> None:
    denied = account.denied_without(role, sid)
    assert denied, f"no recorded call needs {sid} of {role}: record anew, or remove it"


@pytest.mark.parametrize(("role", "sid"), STATEMENTS)
def test_without_an_action_of_a_statement_a_call_is_denied_or_it_is_listed_why_not(
    account: Account, role: str, sid: str
) -> None:
    assert [each for each in idle_actions(account, role, sid) if each not in NOT_ASKED] == []


def test_each_action_that_is_listed_is_idle_in_some_statement(account: Account) -> None:
    idle = {each for role, sid in STATEMENTS for each in idle_actions(account, role, sid)}
    assert idle == NOT_ASKED.keys()


def idle_actions(account: Account, role: str, sid: str) -> list[str]:
    """Return the actions of a statement without which nothing is denied."""
    actions = account.actions(role, sid)
    if len(actions) == 1:
        return []
    return [action for action in actions if not account.denied_without(role, sid, action)]


def test_a_run_still_makes_the_calls_that_were_recorded_of_one(tiny_run: FinishedRun) -> None:
    observed = iam_usage.observed(tiny_run.out / "twin")
    made = {(each.role_arn.rpartition("/")[2], each.action) for each in observed if each.allowed}
    assert {(call.role, call.action) for call in CALLS if call.test == "test_run.py"} <= made


def test_what_fails_without_each_statement_stands_in_a_table_for_people(account: Account) -> None:
    assert TABLE.read_text("utf-8") == permissions.table(account), (
        "make it anew: python -m simulator.tests.permissions"
    )


def test_every_call_of_a_workflow_names_the_state_that_makes_it() -> None:
    workflows = {role for role, who in permissions.users().items() if "the workflow" in who[0]}
    assert len(workflows) >= 5
    nameless = [each for each in CALLS if each.role in workflows and not each.step]
    assert {each.action for each in nameless} == {f"logs:{action}" for action in DELIVERY}
