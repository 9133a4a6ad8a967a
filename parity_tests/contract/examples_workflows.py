"""Examples of Step Functions."""

from __future__ import annotations

import json
from typing import Any

from parity_tests.contract.examples import Examples, below
from parity_tests.contract.world import World

workflows = Examples("stepfunctions")

PASS = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}})
LONG = json.dumps(
    {"StartAt": "Sleep", "States": {"Sleep": {"Type": "Wait", "Seconds": 100_000, "End": True}}}
)


def everything(w: World) -> str:
    """Return a definition that leaves most kinds of events in its history."""
    end = {"Type": "Pass", "End": True}
    one = {"StartAt": "Inner", "States": {"Inner": end}}
    broken = {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"}
    caught = {"ErrorEquals": ["States.ALL"], "Next": "Failed"}
    key = {"pk": {"S": "a"}, "sk": {"N": "1"}}
    states: dict[str, Any] = {
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Choice"},
        "Choice": {"Type": "Choice", "Choices": [], "Default": "Parallel"},
        "Parallel": {"Type": "Parallel", "Branches": [one, one], "Next": "Map"},
        "Map": {"Type": "Map", "ItemsPath": "$", "ItemProcessor": one, "Next": "Get"},
        "Get": {
            "Type": "Task",
            "Resource": "arn:aws:states:::dynamodb:getItem",
            "Parameters": {"TableName": w.table(), "Key": key},
            "Next": "Invoke",
        },
        "Invoke": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": w.function(), "Payload": {"fail": 1}},
            "Catch": [caught],
            "Next": "Failed",
        },
        "Failed": broken,
    }
    states["Choice"]["Choices"] = [{"Variable": "$.no", "IsPresent": True, "Next": "Failed"}]
    return json.dumps({"StartAt": "Wait", "States": states})


def _machine(w: World) -> dict[str, Any]:
    return {"stateMachineArn": w.machine(PASS)}


workflows.add(
    "CreateStateMachine",
    lambda w: {"name": w.new("made"), "definition": PASS, "roleArn": w.role},
    "stateMachineArn creationDate",
)
workflows.add(
    "UpdateStateMachine", lambda w: {**_machine(w), "definition": LONG}, "updateDate revisionId"
)
workflows.add(
    "DescribeStateMachine",
    _machine,
    "stateMachineArn name status definition roleArn type creationDate loggingConfiguration.level"
    " loggingConfiguration.includeExecutionData tracingConfiguration.enabled",
)


def _updated(w: World) -> dict[str, Any]:
    named = _machine(w)
    w.do("stepfunctions", "UpdateStateMachine", **named, definition=LONG)
    return named


workflows.add("DescribeStateMachine", _updated, "stateMachineArn revisionId", "updated")
workflows.add("DeleteStateMachine", _machine)
workflows.add(
    "ListStateMachines",
    lambda w: _machine(w) and {"maxResults": 1},
    below("stateMachines", "stateMachineArn name type creationDate") + " nextToken",
)
workflows.add("StartExecution", _machine, "executionArn startDate")
workflows.add(
    "StartSyncExecution",
    lambda w: {"stateMachineArn": w.machine(PASS, "EXPRESS")},
    "executionArn stateMachineArn name startDate stopDate status input inputDetails.included"
    " output outputDetails.included billingDetails.billedMemoryUsedInMB"
    " billingDetails.billedDurationInMilliseconds",
)
workflows.add(
    "ValidateStateMachineDefinition",
    lambda w: {"definition": '{"States": {}}'},
    below("diagnostics", "severity code message location") + " result truncated",
)
workflows.add(
    "StopExecution",
    lambda w: {"executionArn": w.execution(LONG), "error": "Stop", "cause": "enough"},
    "stopDate",
)
workflows.add("SendTaskSuccess", lambda w: {"taskToken": w.task_token(), "output": "{}"})
workflows.add(
    "SendTaskFailure", lambda w: {"taskToken": w.task_token(), "error": "No", "cause": "refused"}
)
workflows.add("SendTaskHeartbeat", lambda w: {"taskToken": w.task_token()})
workflows.add("CreateActivity", lambda w: {"name": w.new("made")}, "activityArn creationDate")
workflows.add(
    "DescribeActivity", lambda w: {"activityArn": w.activity()}, "activityArn name creationDate"
)
workflows.add("DeleteActivity", lambda w: {"activityArn": w.activity()})
workflows.add(
    "ListActivities",
    lambda w: {"maxResults": 1} if w.activity() and w.activity() else {},
    below("activities", "activityArn name creationDate") + " nextToken",
)


def fetched(w: World) -> dict[str, Any]:
    """Return what a worker asks with, of an activity that has a task for it."""
    arn = w.activity()
    by_hand = {"Type": "Task", "Resource": arn, "End": True}
    w.execution(json.dumps({"StartAt": "ByHand", "States": {"ByHand": by_hand}}))
    return {"activityArn": arn, "workerName": "me"}


workflows.add("GetActivityTask", fetched, "taskToken input")
_EXECUTION = "executionArn stateMachineArn name status startDate"
workflows.add(
    "DescribeExecution",
    lambda w: {"executionArn": w.execution(PASS)},
    f"{_EXECUTION} stopDate input inputDetails.included output outputDetails.included"
    " redriveCount redriveStatus redriveStatusReason",
)
workflows.add(
    "RedriveExecution", lambda w: {"executionArn": w.execution(everything(w))}, "redriveDate"
)
workflows.add(
    "DescribeStateMachineForExecution",
    lambda w: {"executionArn": w.execution(PASS)},
    "stateMachineArn name definition roleArn updateDate loggingConfiguration.level"
    " loggingConfiguration.includeExecutionData tracingConfiguration.enabled",
)
workflows.add(
    "DescribeExecution",
    lambda w: {"executionArn": w.execution(everything(w))},
    f"{_EXECUTION} stopDate input error cause redriveStatus",
    "failed",
)


def _machine_of(execution: str) -> str:
    return execution.replace(":execution:", ":stateMachine:").rpartition(":")[0]


workflows.add(
    "ListExecutions",
    lambda w: {"stateMachineArn": _machine_of(w.execution(PASS))},
    below("executions", f"{_EXECUTION} stopDate redriveCount"),
)
workflows.add(
    "GetExecutionHistory",
    lambda w: {"executionArn": w.execution(everything(w), 60.0)},
    below("events", "timestamp type id previousEventId executionStartedEventDetails.input")
    + " events.executionStartedEventDetails.roleArn",
)


def _mapped(w: World) -> str:
    """Return the execution of a distributed map that waits."""
    processor = {
        **json.loads(LONG),
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    }
    each = {"Type": "Map", "ItemProcessor": processor, "End": True}
    begin = {"Type": "Pass", "Result": [1, 2], "Next": "Each"}
    return w.execution(json.dumps({"StartAt": "Begin", "States": {"Begin": begin, "Each": each}}))


def _map_run(w: World) -> dict[str, Any]:
    found = w.do("stepfunctions", "ListMapRuns", executionArn=_mapped(w))
    return {"mapRunArn": found["mapRuns"][0]["mapRunArn"]}


workflows.add(
    "ListMapRuns",
    lambda w: {"executionArn": _mapped(w)},
    below("mapRuns", "executionArn mapRunArn stateMachineArn startDate"),
)
_KINDS = ("itemCounts", "executionCounts")
_COUNTS = "pending running succeeded failed timedOut aborted total resultsWritten"
workflows.add(
    "DescribeMapRun",
    _map_run,
    "mapRunArn executionArn status startDate maxConcurrency toleratedFailurePercentage"
    " toleratedFailureCount redriveCount " + " ".join(below(kind, _COUNTS) for kind in _KINDS),
)
workflows.add("UpdateMapRun", lambda w: {**_map_run(w), "maxConcurrency": 1})
