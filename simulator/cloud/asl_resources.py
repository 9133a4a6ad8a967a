"""The Resource of a Task: the operation it names, how it is integrated, how its errors are called.

Optimised integrations (`sns:publish`, `glue:startJobRun.sync`) name errors in the style of SDK
v1, AWS SDK integrations (`aws-sdk:s3:getObject`) in the style of SDK v2. Used by `asl_tasks`
when a task runs, and by `asl_validation` when a definition is created.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from simulator.cloud import model_names
from simulator.cloud.asl_history import StateFailure
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.validation import operation_model

_SERVICES = {
    "applicationautoscaling": "application-autoscaling",
    "sfn": "stepfunctions",
    "states": "stepfunctions",
    "sagemakerruntime": "sagemaker-runtime",
    "eventbridge": "events",
    "cloudwatchlogs": "logs",
    "iotdataplane": "iot-data",
}
"""botocore's name of a service where the one in resources differs."""
_OPTIMISED = {"glue", "sagemaker", "sns", "sqs", "lambda", "dynamodb", "states", "events"}
_CALLBACK = {"sns", "sqs", "lambda", "states", "events"}
"""Optimised integrations with `.waitForTaskToken` ("Integrating services"); SDK ones too."""
_V2_NAMES = {
    "application-autoscaling": "ApplicationAutoScaling",
    "cloudwatch": "CloudWatch",
    "dynamodb": "DynamoDb",
    "events": "EventBridge",
    "iot-data": "IotDataPlane",
    "logs": "CloudWatchLogs",
    "sagemaker": "SageMaker",
    "sagemaker-runtime": "SageMakerRuntime",
    "stepfunctions": "Sfn",
}
_V1_NAMES = {
    "sagemaker": "SageMaker",
    "glue": "Glue",
    "sns": "SNS",
    "sqs": "SQS",
    "lambda": "Lambda",
    "dynamodb": "DynamoDB",
    "stepfunctions": "StepFunctions",
    "events": "EventBridge",
}
_V1_BASE = {
    "sagemaker": "AmazonSageMakerException",
    "glue": "AWSGlueException",
    "sns": "AmazonSNSException",
    "sqs": "AmazonSQSException",
    "lambda": "AWSLambdaException",
    "dynamodb": "AmazonDynamoDBException",
    "stepfunctions": "AWSStepFunctionsException",
    "events": "AmazonEventBridgeException",
}
_RESOURCE = re.compile(
    r"arn:aws:states:::(?:(?P<sdk>aws-sdk):)?(?P<service>[a-z0-9]+):(?P<action>\w+)"
    r"(?:\.(?P<pattern>sync(?::2)?|waitForTaskToken))?"
)
_ACRONYM = re.compile(r"[A-Z][A-Z0-9]+(?=[A-Z])")
_ACTIVITY = re.compile(r"arn:aws:states:[^:]*:\d*:activity:.+")
_FUNCTION = re.compile(r"arn:aws:lambda:[^:]*:\d*:function:.+")


@dataclass(frozen=True)
class Resource:
    """A parsed Resource: botocore's service and operation, and how it is integrated.

    ``plain`` is a function's own ARN, whose input and output are not wrapped; ``callback`` waits
    for its task token, and so does an ``activity``, which a worker fetches.
    """

    text: str
    service: str
    operation: str
    sdk: bool
    sync: bool
    plain: bool
    shown_service: str
    shown_resource: str
    callback: bool = False
    activity: bool = False


def parse_resource(text: str) -> Resource:
    """Parse a Task's Resource; raises NotSupportedByTwin for what is not there."""
    if _FUNCTION.fullmatch(text):
        return Resource(text, "lambda", "Invoke", False, False, True, "lambda", "function")
    if _ACTIVITY.fullmatch(text):
        fetched = "stepfunctions", "GetActivityTask"
        return Resource(text, *fetched, False, False, False, "", "", callback=True, activity=True)
    match = _RESOURCE.fullmatch(text)
    if match is None or (match["pattern"] == "sync:2" and match["service"] != "states"):
        raise NotSupportedByTwin(f"the Task resource {text}")
    sdk, sync = bool(match["sdk"]), match["pattern"] in ("sync", "sync:2")
    callback = match["pattern"] == "waitForTaskToken"
    known = _CALLBACK if callback else _OPTIMISED
    if (not sdk and match["service"] not in known) or (sdk and sync):
        raise NotSupportedByTwin(f"the integration {text}")
    service = _SERVICES.get(match["service"], match["service"])
    action = match["action"]
    operation = action[0].upper() + action[1:]
    operation_model(service, operation)
    shown = f"{action}.{match['pattern']}" if match["pattern"] else action
    shown_service = ("aws-sdk:" if sdk else "") + match["service"]
    return Resource(text, service, operation, sdk, sync, False, shown_service, shown, callback)


def failure_of(resource: Resource, error: AwsError) -> StateFailure:
    """Give an AWS error the name and cause that Retry and Catch see.

    A code that the service's model does not name gets the service's base exception.
    """
    # SQS knows an error by two names; the model has the one of its JSON protocol.
    code = str(error.fields.get("QueryErrorCode", error.code))
    shape = model_names.modelled_error(resource.service, code)
    name = None
    if shape is not None:
        # The generators of both SDKs for Java: Fault is replaced, Exception never doubled.
        name = shape.removesuffix("Fault").removesuffix("Exception") + "Exception"
    if resource.sdk:
        if name is not None:
            # SDK v2 writes acronyms as words: KMSDisabledException is KmsDisabledException.
            name = _ACRONYM.sub(lambda match: match[0].capitalize(), name)
        service = _V2_NAMES.get(resource.service, resource.service.capitalize())
        cause = f"{error.message} (Service: {service}, Status Code: {error.status}, Request ID: 0)"
        return StateFailure(f"{service}.{name or f'{service}Exception'}", cause)
    service = _V1_NAMES[resource.service]
    cause = (
        f"{error.message} (Service: Amazon{service}; Status Code: {error.status}; "
        f"Error Code: {error.code}; Request ID: 0; Proxy: null)"
    )
    return StateFailure(f"{service}.{name or _V1_BASE[resource.service]}", cause)
