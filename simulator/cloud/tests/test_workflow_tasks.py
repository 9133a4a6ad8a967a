"""Service integrations of workflows: `.sync`, names of errors, parameters, functions, sizes."""

from __future__ import annotations

import json

import pytest

from simulator.cloud.asl_resources import parse_resource
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.tests.workflow_bench import (
    FUNCTION,
    PUBLISH,
    ROLE,
    RUN_JOB,
    Bench,
    kinds,
    output,
    task,
)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_sync_waits_for_the_job_itself_and_gives_its_description(bench: Bench) -> None:
    execution = bench.run_states({"s": 30}, Run=task(RUN_JOB))
    assert bench.engine.env.now == 30.0
    # The SDK's time as optimised integrations show it: milliseconds.
    assert output(execution) == {
        "Id": "jr_0",
        "JobName": "j",
        "JobRunState": "SUCCEEDED",
        "CompletedOn": int(bench.engine.epoch_s() * 1000),
    }
    assert kinds(execution)[2:6] == [
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
    ]
    submitted = json.loads(execution.history.events[4]["taskSubmittedEventDetails"]["output"])
    assert submitted["JobRunId"] == "jr_0"
    assert submitted["SdkHttpMetadata"]["HttpStatusCode"] == 200


def test_a_job_that_ran_and_failed_is_a_failed_task_with_its_description(bench: Bench) -> None:
    parameters = {"JobName": "j", "Arguments": {"--state": "FAILED"}}
    execution = bench.run_states(Run=task(RUN_JOB, Parameters=parameters))
    assert execution.error == "States.TaskFailed"
    assert json.loads(str(execution.cause))["JobRunState"] == "FAILED"


SDK = "arn:aws:states:::aws-sdk"
NO_QUEUE = AwsError(
    "AWS.SimpleQueueService.NonExistentQueue", "text", 400, {"QueryErrorCode": "QueueDoesNotExist"}
)
"""SQS sends an error's old name in a header and the model's name in the body."""
ERRORS = [
    (f"{SDK}:s3:getObject", AwsError("NoSuchBucket", "text"), "S3.NoSuchBucketException"),
    (f"{SDK}:s3:getObject", AwsError("SlowDown", "text"), "S3.S3Exception"),
    (
        f"{SDK}:ssm:getParameter",
        AwsError("ParameterNotFound", "text"),
        "Ssm.ParameterNotFoundException",
    ),
    (f"{SDK}:sqs:sendMessage", NO_QUEUE, "Sqs.QueueDoesNotExistException"),
    ("arn:aws:states:::sqs:sendMessage", NO_QUEUE, "SQS.QueueDoesNotExistException"),
    (
        f"{SDK}:dynamodb:putItem",
        AwsError("InternalServerError", "text"),
        "DynamoDb.InternalServerErrorException",
    ),
    (
        f"{SDK}:lambda:invoke",
        AwsError("KMSDisabledException", "text"),
        "Lambda.KmsDisabledException",
    ),
    (
        "arn:aws:states:::lambda:invoke",
        AwsError("KMSDisabledException", "text"),
        "Lambda.KMSDisabledException",
    ),
    (PUBLISH, AwsError("NotFound", "text"), "SNS.NotFoundException"),
    (PUBLISH, AwsError("Mystery", "text"), "SNS.AmazonSNSException"),
    (
        FUNCTION,
        AwsError("ResourceNotFoundException", "text"),
        "Lambda.ResourceNotFoundException",
    ),
]
NEEDED = {
    "GetObject": {"Bucket": "b", "Key": "k"},
    "GetParameter": {"Name": "n"},
    "SendMessage": {"QueueUrl": "http://q", "MessageBody": {"a": 1}},
    "PutItem": {"TableName": "t-1", "Item": {"pk": {"S": "x"}}},
    "Invoke": {"FunctionName": "f"},
    "Publish": {"Message": "m", "TopicArn": "t"},
}


@pytest.mark.parametrize(
    ("resource", "error", "name"), ERRORS, ids=[f"{r[15:]} {n}" for r, _, n in ERRORS]
)
def test_an_error_has_the_name_that_the_sdk_behind_the_integration_gives_it(
    bench: Bench, resource: str, error: AwsError, name: str
) -> None:
    operation = parse_resource(resource).operation
    bench.program[operation] = error
    execution = bench.run_states(Call=task(resource, Parameters=NEEDED[operation]))
    assert bench.called(operation) == [0.0]
    assert execution.error == name
    assert str(execution.cause).startswith("text (Service: ")
    assert ("Proxy" in str(execution.cause)) == (":aws-sdk:" not in resource)


def test_a_role_without_permission_is_denied_as_an_error_that_can_be_caught(bench: Bench) -> None:
    may = {"Effect": "Allow", "Action": "glue:*", "Resource": "*"}
    bench.iam.put_role_policy(ROLE, "all", {"Version": "2012-10-17", "Statement": may})
    execution = bench.run_states(Send=task())
    assert (execution.status, execution.error) == ("FAILED", "SNS.AmazonSNSException")
    catch = [{"ErrorEquals": ["SNS.AmazonSNSException"], "ResultPath": "$.e", "Next": "Run"}]
    caught = bench.run_states(
        {"s": 1}, Send=task(Catch=catch, Next="Run"), Run=task(RUN_JOB, ResultPath="$.job")
    )
    answer = output(caught)
    assert "is not authorized to perform: sns:Publish" in answer["e"]["Cause"]
    assert answer["job"]["JobRunState"] == "SUCCEEDED"
    assert bench.called("Publish") == []


def test_what_the_twin_refuses_while_it_runs_cannot_be_caught_away(bench: Bench) -> None:
    bench.program["Publish"] = NotSupportedByTwin("MessageStructure of Publish")
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    execution = bench.run_states(Send=task(Catch=catch), Caught={"Type": "Succeed"})
    assert execution.error == "States.Runtime"
    assert "MessageStructure" in str(execution.cause)


def test_parameters_are_pascal_case_and_so_are_answers(bench: Bench) -> None:
    bench.program["GetParameter"] = {"Parameter": {"Name": "n", "Value": "v"}}
    execution = bench.run_states(
        Get=task("arn:aws:states:::aws-sdk:ssm:getParameter", Parameters={"Name": "n"})
    )
    assert output(execution) == {"Parameter": {"Name": "n", "Value": "v"}}
    bad = task("arn:aws:states:::aws-sdk:ssm:getParameter", Parameters={"Nme": "n"})
    assert bench.run_states(Get=bad).error == "States.Runtime"


def test_an_object_as_a_message_is_sent_as_json(bench: Bench) -> None:
    bench.program["Publish"] = {"MessageId": "m"}
    parameters = {"Message": {"a.$": "$.b"}, "TopicArn": "t"}
    execution = bench.run_states({"b": 2}, Send=task(Parameters=parameters))
    assert bench.calls[0][2]["Message"] == '{"a":2}'
    assert output(execution)["SdkHttpMetadata"]["HttpStatusCode"] == 200


def test_a_function_gets_the_input_and_its_own_exception_is_the_error(bench: Bench) -> None:
    bench.program["Invoke"] = lambda call: {"StatusCode": 200, "Payload": call.params["Payload"]}
    state = {"Type": "Task", "Resource": FUNCTION, "End": True}
    assert output(bench.run_states({"x": [1]}, Call=state)) == {"x": [1]}
    wrapped = task("arn:aws:states:::lambda:invoke")
    wrapped["Parameters"] = {"FunctionName": "f", "Payload.$": "$"}
    answer = output(bench.run_states({"x": 1}, Call=wrapped))
    assert (answer["Payload"], answer["ExecutedVersion"]) == ({"x": 1}, "$LATEST")
    text = '{"errorType": "KeyError", "errorMessage": "x"}'
    failure = {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": text.encode()}
    bench.program["Invoke"] = failure
    execution = bench.run_states(Call=state)
    assert (execution.error, execution.cause) == ("KeyError", text)
    assert "LambdaFunctionFailed" in kinds(execution)


def test_a_result_that_is_too_large_can_be_caught_and_a_pass_states_cannot(bench: Bench) -> None:
    bench.program["Invoke"] = {"StatusCode": 200, "Payload": b'"' + b"x" * 262_143 + b'"'}
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    call = {"Type": "Task", "Resource": FUNCTION, "Catch": catch, "End": True}
    caught = output(bench.run_states(Call=call, Caught={"Type": "Pass", "End": True}))
    assert caught["Error"] == "States.DataLimitExceeded"
    assert caught["Cause"].startswith(f"The state/task '{FUNCTION}' returned a result with a size")
    big = {"Type": "Pass", "Result": "x" * 262_143, "End": True}
    assert bench.run_states(Big=big).error == "States.DataLimitExceeded"
