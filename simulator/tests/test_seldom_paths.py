"""What starts by itself, and what is kept when a step fails: paths that a run seldom takes.

One twin is taken apart test by test, so their order matters. What its roles asked for is recorded
for `test_statement_removal`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.messages import Reading, encode_reading, telemetry_topic
from simulator.errors import TransferFailed
from simulator.fleet.delivery import Message
from simulator.targets import Embedded

# One twin for all, in the order of the file.
pytestmark = pytest.mark.slow

START = datetime(2026, 1, 6, 3, 44, 30, tzinfo=UTC)
DEVICE = "pump-001"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """Return a twin with nothing in its lake."""
    state = tmp_path_factory.mktemp("seldom-paths")
    made = Embedded(START, state, speed=None, seed=1)
    try:
        # A server that is not there: nobody is asked to export anything until a test does.
        maintenance = {
            "MaintenanceServer": "plant",
            "AgentActivationKey": "LOCAL-LOCAL-LOCAL-LOCAL-LOCAL",
        }
        made.boot(maintenance, prewarmed=False)
        yield made
    finally:
        made.close()


def executions(target: Embedded, workflow: str) -> list[dict[str, Any]]:
    """Return a workflow's executions, the newest first, when they are over."""
    arn = target.name_of("AWS::StepFunctions::StateMachine", f"-{workflow}")
    for _ in range(120):
        found = target.call("stepfunctions", "ListExecutions", stateMachineArn=arn)["executions"]
        if found and all(each["status"] != "RUNNING" for each in found):
            return list(found)
        target.run_until(target.clock.now + 30.0)
    raise AssertionError(f"{workflow} has not come to an end within an hour")


def told_failures(target: Embedded) -> list[dict[str, Any]]:
    """Take all that is in the inbox; return what is told of workflows that failed."""
    url = target.name_of("AWS::SQS::Queue", "alert-inbox")
    told = []
    ask = {"QueueUrl": url, "MaxNumberOfMessages": 10}
    while found := target.call("sqs", "ReceiveMessage", **ask).get("Messages"):
        for message in found:
            told.append(json.loads(message["Body"]))
            handle = message["ReceiptHandle"]
            target.call("sqs", "DeleteMessage", QueueUrl=url, ReceiptHandle=handle)
    return [each for each in told if each.get("kind") == "workflow_failed"]


def counted(target: Embedded) -> list[dict[str, Any]]:
    """Look at the objects that the queue of what was kept names; they are there again at once."""
    url = target.name_of("AWS::SQS::Queue", "records-kept")
    ask = {"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0}
    found = target.call("sqs", "ReceiveMessage", **ask).get("Messages", [])
    return [json.loads(message["Body"]) for message in found]


def alarm_of(target: Embedded) -> str:
    """Return the state of the alarm on what was kept."""
    name = "fleetwin-dev-records-kept"
    (alarm,) = target.call("cloudwatch", "DescribeAlarms", AlarmNames=[name])["MetricAlarms"]
    return str(alarm["StateValue"])


def publish(target: Embedded, seq: int) -> None:
    """Publish a reading."""
    values = {"temperature_c": 60.0, "velocity_mm_s_rms": 2.0, "pressure_bar": 5.0}
    at_ms = int(target.cloud.engine.epoch_s() * 1000)
    payload = encode_reading(Reading(DEVICE, seq, at_ms, {**values, "current_a": 20.0}))
    target.publish([Message(telemetry_topic(DEVICE), payload, DEVICE, target.clock.now)])


def test_the_schedules_start_compaction_and_monitoring(target: Embedded) -> None:
    for name in ("compaction", "monitoring"):
        target.call("events", "EnableRule", Name=f"fleetwin-dev-{name}-schedule")
    target.run_until(target.clock.now + 60.0)
    assert executions(target, "compaction")[0]["status"] == "SUCCEEDED"
    target.run_until(target.clock.now + 1_260.0)
    (found,) = executions(target, "monitoring")
    assert found["status"] == "SUCCEEDED", "there is no endpoint, so nothing to monitor"


def test_a_second_execution_of_monitoring_fails_and_is_told(target: Embedded) -> None:
    machine = target.name_of("AWS::StepFunctions::StateMachine", "-monitoring")
    event = json.dumps({"time": "2026-01-06T04:00:00Z"})
    both = [
        target.start_workflow(machine, event, f"at-once-{number}", lambda *_: None)
        for number in range(2)
    ]
    for execution in both:
        target.run_until(execution.done)
    assert [each.error for each in both] == [None, "AnotherExecutionRuns"]
    target.run_until(target.clock.now + 60.0)
    (told,) = told_failures(target)
    assert (told["workflow"], told["state"]) == ("fleetwin-dev-monitoring", "AnotherRuns")
    assert told["record"].endswith("/failures/fleetwin-dev-monitoring/at-once-1.json")


def test_the_compaction_workflow_makes_one_object_of_an_hour_of_the_day_before(
    target: Embedded,
) -> None:
    bucket = target.bucket("raw")
    line = '{"schema":1,"device_id":"p","seq":%d,"event_time_ms":%d,"late":false,"values":{}}\n'
    for hour in ("dt=2026-01-05/hour=07", "dt=2026-01-06/hour=01"):
        for number in range(10):
            body = gzip.compress((line % (number, number)).encode())
            key = f"telemetry/{hour}/{number:02}.jsonl.gz"
            target.call("s3", "PutObject", Bucket=bucket, Key=key, Body=body)
    machine = target.name_of("AWS::StepFunctions::StateMachine", "-compaction")
    event = json.dumps({"time": "2026-01-06T03:45:00Z"})
    execution = target.start_workflow(machine, event, "compaction", lambda state, what: None)
    target.run_until(execution.done)
    assert (execution.status, execution.error, execution.cause) == ("SUCCEEDED", None, None)
    left = [key for key, _ in target.objects(bucket, "telemetry/")]
    assert sum("dt=2026-01-05" in key for key in left) == 1
    assert sum("dt=2026-01-06" in key for key in left) == 10
    ((_, body),) = target.objects(bucket, "telemetry/dt=2026-01-05")
    assert len(gzip.decompress(body).splitlines()) == 10


def test_a_transfer_from_a_server_that_is_away_says_so(target: Embedded) -> None:
    with pytest.raises(TransferFailed, match=r"maintenance failed: .*plant"):
        target.transfer("maintenance")


def test_a_manifest_that_names_no_hours_starts_the_features_and_the_failure_is_told(
    target: Embedded,
) -> None:
    manifest = json.dumps({"start": "then", "end": "now"}).encode()
    raw = target.bucket("raw")
    target.call("s3", "PutObject", Bucket=raw, Key="imports/a/manifest.json", Body=manifest)
    target.run_until(target.clock.now + 60.0)
    (execution,) = executions(target, "features")
    assert execution["status"] == "FAILED"
    (told,) = told_failures(target)
    assert (told["workflow"], told["state"]) == ("fleetwin-dev-features", "RunFeatures")
    assert told["execution"] == execution["name"]
    assert "then" in told["cause"], "what the manifest said"
    bucket, _, key = told["record"].removeprefix("s3://").partition("/")
    assert key == f"failures/fleetwin-dev-features/{execution['name']}.json"
    ((_, body),) = target.objects(bucket, key)
    kept = json.loads(body)
    shared = ("workflow", "execution", "state", "error", "cause", "link")
    assert {name: kept[name] for name in shared} == {name: told[name] for name in shared}
    assert kept["input"]["detail"]["object"]["key"] == "imports/a/manifest.json"


def test_compaction_that_fails_is_told(target: Embedded) -> None:
    machine = target.name_of("AWS::StepFunctions::StateMachine", "-compaction")
    event = json.dumps({"time": "never"})
    execution = target.start_workflow(machine, event, "never", lambda *_: None)
    target.run_until(execution.done)
    assert execution.status == "FAILED"
    target.run_until(target.clock.now + 60.0)
    (told,) = told_failures(target)
    assert (told["workflow"], told["state"]) == ("fleetwin-dev-compaction", "Compact")
    assert told["execution"] == "never"
    assert "never" in told["cause"]


def test_drift_that_lasts_starts_a_training(target: Embedded) -> None:
    hours = {"start": "2026-01-05T00:00:00Z", "end": "2026-01-05T01:00:00Z", "run": "drift"}
    detail = {"endpoint": "fleetwin-dev-detector", "retrain": True, "training": hours}
    entry = {"Source": "fleetwin.monitoring", "DetailType": "Model Drift"}
    target.call("events", "PutEvents", Entries=[{**entry, "Detail": json.dumps(detail)}])
    target.run_until(target.clock.now + 60.0)
    (found,) = executions(target, "training")
    assert found["status"] == "FAILED", "there are no readings to train on"


def test_records_that_no_function_can_work_off_are_kept_in_the_raw_bucket(
    target: Embedded,
) -> None:
    for mapping in target.call("lambda", "ListEventSourceMappings")["EventSourceMappings"]:
        target.call(
            "lambda", "UpdateEventSourceMapping", UUID=mapping["UUID"], MaximumRetryAttempts=0
        )
    target.run_until(target.clock.now + 60.0)
    table = target.name_of("AWS::DynamoDB::Table", "device-state")
    target.call("dynamodb", "DeleteTable", TableName=table)
    publish(target, 1)
    target.run_until(target.clock.now + 180.0)
    kept = [key for key, _ in target.objects(target.bucket("raw"), "aws/lambda/")]
    assert len(kept) >= 2, "one of each mapping"
    assert {each["key"] for each in counted(target)} == set(kept)
    assert alarm_of(target) == "ALARM"
    target.call("sqs", "PurgeQueue", QueueUrl=target.name_of("AWS::SQS::Queue", "records-kept"))
    target.run_until(target.clock.now + 180.0)
    assert alarm_of(target) == "OK", "as soon as the queue is empty"


def test_messages_that_the_stream_does_not_take_are_kept_in_the_raw_bucket(
    target: Embedded,
) -> None:
    stream = target.name_of("AWS::Kinesis::Stream", "-telemetry")
    target.call("kinesis", "DeleteStream", StreamName=stream, EnforceConsumerDeletion=True)
    target.run_until(target.clock.now + 60.0)
    publish(target, 2)
    target.run_until(target.clock.now + 60.0)
    kept = {key for key, _ in target.objects(target.bucket("raw"), "dead-letter/iot/")}
    assert kept
    target.run_until(target.clock.now + 120.0)
    assert kept <= {each["key"] for each in counted(target)}
    assert alarm_of(target) == "ALARM"
