"""Refused calls of the other services, and of callers without permission."""

from __future__ import annotations

from typing import Any

from parity_tests.contract.errors import ErrorCases, many, twice
from parity_tests.contract.examples_jobs import PERMISSION, job_of
from parity_tests.contract.examples_logs import metric_filter_of
from parity_tests.contract.examples_registry import group_with_package
from parity_tests.contract.examples_sagemaker_jobs import tuning_of
from parity_tests.contract.examples_sns import topic
from parity_tests.contract.examples_streams import alarm_of
from parity_tests.contract.examples_workflows import LONG, PASS, fetched
from parity_tests.contract.things import function_of, training_of
from parity_tests.contract.world import World

services = ErrorCases()

# -- IoT, Logs, CloudWatch

services.add("iot", "UnauthorizedException", "GetTopicRule", lambda w: {"ruleName": "none"})


def _rule(w: World, sql: str, actions: int = 1) -> dict[str, Any]:
    action = {"kinesis": {"roleArn": w.role, "streamName": "nowhere"}}
    return {
        "ruleName": w.new("rule").replace("-", "_"),
        "topicRulePayload": {"sql": sql, "actions": [action] * actions},
    }


services.add(
    "iot",
    "ResourceAlreadyExistsException",
    "CreateTopicRule",
    twice(("iot", "CreateTopicRule"), lambda w: _rule(w, "SELECT * FROM 'a'")),
)
services.add("iot", "SqlParseException", "CreateTopicRule", lambda w: _rule(w, "SELECT FROM"))
services.add(
    "iot", "InvalidRequestException", "CreateTopicRule", lambda w: _rule(w, "SELECT * FROM 'a'", 11)
)
services.add(
    "iot-data",
    "InvalidRequestException",
    "Publish",
    lambda w: {"topic": "a", "payload": b"x" * 200_000},
)
services.add(
    "logs", "ResourceNotFoundException", "DescribeLogStreams", lambda w: {"logGroupName": "none"}
)
services.add("logs", "InvalidParameterException", "CreateLogGroup", lambda w: {"logGroupName": "?"})
services.add(
    "logs",
    "ResourceAlreadyExistsException",
    "CreateLogGroup",
    twice(("logs", "CreateLogGroup"), lambda w: {"logGroupName": w.new("group")}),
)


def _filters(w: World) -> dict[str, Any]:
    """Put as many filters with a regular expression as a group takes; return one more."""
    params = {**metric_filter_of(w), "filterPattern": "{ $.late = %1% }"}
    for number in range(5):
        w.do("logs", "PutMetricFilter", **{**params, "filterName": f"f{number}"})
    return params


services.add("logs", "LimitExceededException", "PutMetricFilter", _filters)


def _batch(*entries: tuple[str, str]) -> Any:
    """Return how a batch of (Id, Message) is made."""
    listed = [{"Id": name, "Message": text} for name, text in entries]
    return lambda w: {**topic(w), "PublishBatchRequestEntries": listed}


_NO_TOPIC = "arn:aws:sns:us-east-1:000000000000:none"
services.add("sns", "NotFound", "Publish", lambda w: {"TopicArn": _NO_TOPIC, "Message": "m"})
services.add("sns", "ResourceNotFound", "ListTagsForResource", lambda w: {"ResourceArn": _NO_TOPIC})
services.add("sns", "InvalidParameter", "CreateTopic", lambda w: {"Name": "white space"})
services.add("sns", "EmptyBatchRequest", "PublishBatch", _batch())
services.add(
    "sns",
    "TooManyEntriesInBatchRequest",
    "PublishBatch",
    _batch(*[(str(n), "m") for n in range(11)]),
)
services.add("sns", "BatchEntryIdsNotDistinct", "PublishBatch", _batch(("a", "m"), ("a", "m")))
services.add(
    "sns", "BatchRequestTooLong", "PublishBatch", _batch(("a", "m" * 200_000), ("b", "m" * 200_000))
)
services.add(
    "cloudwatch",
    "ResourceNotFound",
    "SetAlarmState",
    lambda w: {"AlarmName": "none", "StateValue": "OK", "StateReason": "test"},
)
services.add(
    "cloudwatch",
    "ValidationError",
    "PutMetricAlarm",
    lambda w: {**alarm_of(w), "DatapointsToAlarm": 9},
)
services.add("cloudwatch", "InvalidNextToken", "DescribeAlarms", lambda w: {"NextToken": "x"})
services.add("cloudformation", "ValidationError", "DescribeStacks", lambda w: {"StackName": "none"})
services.add(
    "cloudformation", "ValidationError", "DescribeStackEvents", lambda w: {"StackName": "none"}
)
services.add(
    "cloudwatch",
    "InvalidParameterInput",
    "PutDashboard",
    lambda w: {"DashboardName": "fleet", "DashboardBody": "no JSON"},
)


def _datum(**datum: Any) -> Any:
    return lambda w: {"Namespace": "Fleetwin", "MetricData": [{"MetricName": "Late", **datum}]}


services.add("cloudwatch", "MissingParameter", "PutMetricData", _datum())
services.add(
    "cloudwatch", "InvalidParameterCombination", "PutMetricData", _datum(Value=1.0, Values=[1.0])
)
services.add("cloudwatch", "InvalidParameterValue", "PutMetricData", _datum(Value=float("nan")))

# -- Lambda and Glue

services.add(
    "lambda", "ResourceNotFoundException", "GetFunction", lambda w: {"FunctionName": "none"}
)
services.add(
    "lambda",
    "ResourceConflictException",
    "AddPermission",
    twice(("lambda", "AddPermission"), lambda w: {"FunctionName": w.function(), **PERMISSION}),
)
services.add(
    "lambda",
    "InvalidParameterValueException",
    "CreateFunction",
    lambda w: {
        **function_of(w, w.new("made")),
        "Environment": {"Variables": {"LONG": "x" * 5000}},
    },
)
services.add(
    "lambda",
    "ValidationException",
    "CreateEventSourceMapping",
    lambda w: {
        "FunctionName": w.function(),
        "EventSourceArn": w.cloud.context.arn("kinesis", f"stream/{w.stream()}"),
    },
)
services.add(
    "lambda",
    "RequestTooLargeException",
    "Invoke",
    lambda w: {"FunctionName": w.function(), "Payload": b'"' + b"x" * 6_291_456 + b'"'},
)
services.add(
    "lambda",
    "InvalidRequestContentException",
    "Invoke",
    lambda w: {"FunctionName": w.function(), "Payload": b"{"},
)


def _disabling(w: World) -> dict[str, Any]:
    uuid = w.mapping()
    w.do("lambda", "UpdateEventSourceMapping", UUID=uuid, Enabled=True)
    w.run()
    w.do("lambda", "UpdateEventSourceMapping", UUID=uuid, Enabled=False)
    return {"UUID": uuid, "Enabled": True}


services.add("lambda", "ResourceInUseException", "UpdateEventSourceMapping", _disabling)
services.add("glue", "EntityNotFoundException", "GetJob", lambda w: {"JobName": "none"})
services.add("glue", "AlreadyExistsException", "CreateJob", twice(("glue", "CreateJob"), job_of))
services.add(
    "glue",
    "InvalidInputException",
    "CreateJob",
    lambda w: {**job_of(w), "Command": {"Name": "glueetl"}},
)


def _running(w: World) -> dict[str, Any]:
    job = job_of(w)
    w.do("glue", "CreateJob", **job)
    named = {"JobName": job["Name"]}
    w.do("glue", "StartJobRun", **named)
    w.later(lambda: w.do("glue", "DeleteJob", **named))
    return named


services.add("glue", "ConcurrentRunsExceededException", "StartJobRun", _running)

# -- SageMaker

services.add(
    "sagemaker",
    "ValidationException",
    "DescribeEndpoint",
    lambda w: {"EndpointName": "none"},
)
services.add("sagemaker", "ConflictException", "DeleteModelPackageGroup", group_with_package)
services.add(
    "sagemaker",
    "ResourceNotFound",
    "DescribeProcessingJob",
    lambda w: {"ProcessingJobName": "none"},
)
services.add(
    "sagemaker",
    "ResourceInUse",
    "CreateTrainingJob",
    lambda w: training_of(w, w.trained),
)


def _too_many_at_once(w: World) -> dict[str, Any]:
    params = tuning_of(w)
    limits = params["HyperParameterTuningJobConfig"]["ResourceLimits"]
    limits["MaxParallelTrainingJobs"] = 11
    return params


services.add(
    "sagemaker",
    "ResourceLimitExceeded",
    "CreateHyperParameterTuningJob",
    _too_many_at_once,
)
services.add(
    "sagemaker-runtime",
    "ValidationError",
    "InvokeEndpoint",
    lambda w: {"EndpointName": "none", "Body": b"{}"},
)
services.add(
    "sagemaker-runtime",
    "ModelError",
    "InvokeEndpoint",
    lambda w: {"EndpointName": w.endpoint, "Body": b"bad"},
    "OriginalStatusCode OriginalMessage LogStreamArn",
)
services.add(
    "sagemaker-runtime",
    "413",
    "InvokeEndpoint",
    lambda w: {"EndpointName": w.endpoint, "Body": b"x" * 6_291_457},
)

# -- Step Functions

_ARN = "arn:aws:states:us-east-1:000000000000"
_NO_MACHINE = {"stateMachineArn": f"{_ARN}:stateMachine:none"}
services.add("stepfunctions", "StateMachineDoesNotExist", "StartExecution", lambda w: _NO_MACHINE)
services.add(
    "stepfunctions",
    "ThrottlingException",
    "StartExecution",
    many(1300, ("stepfunctions", "StartExecution"), lambda w: _NO_MACHINE),
)
services.add(
    "stepfunctions",
    "ExecutionDoesNotExist",
    "DescribeExecution",
    lambda w: {"executionArn": f"{_ARN}:execution:none:none"},
)


def _machine_of(w: World, **changes: Any) -> dict[str, Any]:
    return {"name": w.new("made"), "definition": PASS, "roleArn": w.role, **changes}


def _same_name(w: World) -> dict[str, Any]:
    params = _machine_of(w)
    w.do("stepfunctions", "CreateStateMachine", **params)
    return {**params, "definition": LONG}


def _same_execution(w: World) -> dict[str, Any]:
    named = {"stateMachineArn": w.machine(PASS), "name": "one"}
    w.do("stepfunctions", "StartExecution", **named)
    w.run()
    return named


services.add("stepfunctions", "StateMachineAlreadyExists", "CreateStateMachine", _same_name)
services.add("stepfunctions", "ExecutionAlreadyExists", "StartExecution", _same_execution)
services.add(
    "stepfunctions",
    "InvalidDefinition",
    "CreateStateMachine",
    lambda w: _machine_of(w, definition="{}"),
)
services.add(
    "stepfunctions", "InvalidName", "CreateStateMachine", lambda w: _machine_of(w, name="a b")
)
services.add(
    "stepfunctions",
    "ResourceNotFound",
    "DescribeMapRun",
    lambda w: {"mapRunArn": "arn:aws:states:us-east-1:000000000000:mapRun:m/Each:none"},
)
services.add("stepfunctions", "InvalidToken", "ListStateMachines", lambda w: {"nextToken": "x"})
services.add("stepfunctions", "InvalidToken", "SendTaskHeartbeat", lambda w: {"taskToken": "x"})
services.add(
    "stepfunctions",
    "InvalidOutput",
    "SendTaskSuccess",
    lambda w: {"taskToken": w.task_token(), "output": "{"},
)

services.add(
    "stepfunctions",
    "ExecutionNotRedrivable",
    "RedriveExecution",
    lambda w: {"executionArn": w.execution(PASS)},
)
services.add("stepfunctions", "ValidationException", "ListExecutions", lambda w: {})
services.add(
    "stepfunctions",
    "ActivityDoesNotExist",
    "DescribeActivity",
    lambda w: {"activityArn": f"{_ARN}:activity:none"},
)
services.add(
    "stepfunctions",
    "StateMachineTypeNotSupported",
    "StartSyncExecution",
    lambda w: {"stateMachineArn": w.machine(PASS)},
)
services.add(
    "stepfunctions",
    "InvalidArn",
    "DescribeExecution",
    lambda w: {"executionArn": f"{_ARN}:express:none:none:none"},
)
services.add(
    "stepfunctions",
    "InvalidLoggingConfiguration",
    "CreateStateMachine",
    lambda w: _machine_of(w, loggingConfiguration={"level": "ALL"}),
)


def _spent(w: World) -> dict[str, Any]:
    token = w.task_token()
    w.do("stepfunctions", "SendTaskFailure", taskToken=token)
    return {"taskToken": token, "output": "1"}


services.add("stepfunctions", "TaskTimedOut", "SendTaskSuccess", _spent)


def _orphan(w: World) -> dict[str, Any]:
    named = fetched(w)
    token = w.do("stepfunctions", "GetActivityTask", **named)["taskToken"]
    w.do("stepfunctions", "DeleteActivity", activityArn=named["activityArn"])
    return {"taskToken": token}


services.add("stepfunctions", "TaskDoesNotExist", "SendTaskHeartbeat", _orphan)
services.add(
    "stepfunctions",
    "InvalidExecutionInput",
    "StartExecution",
    lambda w: {"stateMachineArn": w.machine(PASS), "input": "{"},
)
services.add(
    "stepfunctions",
    "MissingRequiredParameter",
    "UpdateStateMachine",
    lambda w: {"stateMachineArn": w.machine(PASS)},
)

# -- a caller without permission

for _service, _code, _operation, _params in (
    ("s3", "AccessDenied", "ListObjectsV2", {"Bucket": "any"}),
    ("dynamodb", "AccessDeniedException", "DescribeTable", {"TableName": "any"}),
    ("lambda", "AccessDeniedException", "GetFunction", {"FunctionName": "any"}),
    ("stepfunctions", "AccessDeniedException", "DescribeStateMachine", _NO_MACHINE),
    ("kinesis", "AccessDeniedException", "ListShards", {"StreamName": "any"}),
    ("glue", "AccessDeniedException", "GetJob", {"JobName": "any"}),
    ("cloudwatch", "AccessDeniedException", "DescribeAlarms", {}),
    ("sagemaker", "AccessDeniedException", "DescribeModel", {"ModelName": "any"}),
):
    services.deny(_service, _code, _operation, _params)
