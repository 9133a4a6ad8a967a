"""A statement less in the template is a step that AWS denies, and somebody who is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.messages import Reading, encode_reading, telemetry_topic
from simulator.cloud.workflows import Execution
from simulator.fleet.delivery import Message
from simulator.targets import Embedded
from simulator.tests.command import changed_assembly, without_statement

START = datetime(2026, 1, 5, tzinfo=UTC)
DEVICE = "pump-001"
REMOVED = {
    "TrainingRole": "RunFeatures",
    "FeaturesRole": "ReadReadings",
    "RawWriterRole": "WriteRawZone",
    "DetectorRole": "Score",
}
"""One statement of each of four roles, all in one twin: no role depends on another's."""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """Return a twin of the template without the removed statements."""
    folder = tmp_path_factory.mktemp("denied")

    def remove(template: dict[str, Any]) -> None:
        for role, sid in REMOVED.items():
            without_statement(template, role, sid)

    assembly = changed_assembly(folder, remove)
    made = Embedded(START, folder / "state", speed=None, seed=1, assembly=assembly)
    try:
        made.boot({}, prewarmed=False)
        yield made
    finally:
        made.close()


def inbox(target: Embedded) -> list[dict[str, Any]]:
    """Take everything out of the queue that is subscribed to the alerts."""
    name = target.name_of("AWS::SQS::Queue", "alert-inbox").rsplit("/", 1)[-1]
    url = target.call("sqs", "GetQueueUrl", QueueName=name)["QueueUrl"]
    bodies = []
    while page := target.call("sqs", "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10).get(
        "Messages"
    ):
        for message in page:
            bodies.append(json.loads(message["Body"]))
            handle = message["ReceiptHandle"]
            target.call("sqs", "DeleteMessage", QueueUrl=url, ReceiptHandle=handle)
    return bodies


def train(target: Embedded, name: str) -> Execution:
    """Run the training workflow to its end."""
    arn = target.name_of("AWS::StepFunctions::StateMachine", "training")
    data = {"start": "2026-01-05T00:00:00Z", "end": "2026-01-05T01:00:00Z", "run": name}
    execution = target.start_workflow(arn, json.dumps(data), name, lambda state, what: None)
    target.run_until(execution.done)
    return execution


def publish_readings(target: Embedded, first_seq: int, count: int) -> None:
    """Publish one reading a second and let the clock follow."""
    values = {"temperature_c": 60.0, "velocity_mm_s_rms": 2.0, "pressure_bar": 5.0}
    for seq in range(first_seq, first_seq + count):
        at_ms = int(target.cloud.engine.epoch_s() * 1000)
        payload = encode_reading(Reading(DEVICE, seq, at_ms, {**values, "current_a": 20.0 + seq}))
        topic = telemetry_topic(DEVICE)
        target.publish([Message(topic, payload, DEVICE, target.clock.now)])
        target.run_until(target.clock.now + 1.0)


def logs_of(target: Embedded, function: str) -> str:
    """Return everything that a function logged."""
    group = f"/aws/lambda/fleetwin-dev-{function}"
    page = target.call("logs", "FilterLogEvents", logGroupName=group)
    return "\n".join(event["message"] for event in page["events"])


def test_the_workflow_that_may_not_start_the_job_fails_and_alerts(target: Embedded) -> None:
    inbox(target)
    execution = train(target, "denied")
    assert execution.status == "FAILED"
    assert execution.error == "Glue.AccessDeniedException"
    target.run_until(target.clock.now + 90.0)
    received = inbox(target)
    told = [each for each in received if each.get("kind") == "workflow_failed"]
    assert len(received) == len(told) == 1, "the workflow's Catch alerts once, and nobody else"
    assert told[0]["execution"] == "denied"
    assert told[0]["error"] == "Glue.AccessDeniedException"
    cause = told[0]["cause"]
    assert ":assumed-role/fleetwin-dev-training/" in cause
    assert "is not authorized to perform: glue:StartJobRun on resource: arn:aws:glue:" in cause
    assert "because no identity-based policy allows the glue:StartJobRun action" in cause
    named = "fleetwin-dev-training-failed"
    (alarm,) = target.call("cloudwatch", "DescribeAlarms", AlarmNames=[named])["MetricAlarms"]
    assert alarm["StateValue"] == "ALARM", "and CloudWatch saw it too"


def test_functions_that_may_not_write_or_score_fail_and_their_alarms_alert(
    target: Embedded,
) -> None:
    # A model is said to be active, so that the detector asks the endpoint for scores.
    table = target.name_of("AWS::DynamoDB::Table", "device-state")
    item = {"endpoint": "fleetwin-dev-detector", "model_version": "v1", "activated": "2026"}
    row = {"pk": "#model", **item}
    target.call(
        "dynamodb",
        "PutItem",
        TableName=table,
        Item={name: {"S": value} for name, value in row.items()},
    )
    inbox(target)
    publish_readings(target, 0, 120)
    target.run_until(target.clock.now + 130.0)

    raised = {each["AlarmName"] for each in inbox(target) if "AlarmName" in each}
    assert {"fleetwin-dev-raw-writer-errors", "fleetwin-dev-detector-errors"} <= raised
    assert not list(target.objects(target.bucket("raw"), "telemetry/"))
    writer, detector = logs_of(target, "raw-writer"), logs_of(target, "detector")
    assert "AccessDenied" in writer
    assert "is not authorized to perform: s3:PutObject" in writer
    assert "AccessDeniedException" in detector
    assert "is not authorized to perform: sagemaker:InvokeEndpoint" in detector


def test_the_job_that_may_not_read_its_input_fails_and_says_so(target: Embedded) -> None:
    key = "telemetry/dt=2026-01-05/hour=00/shardId-000000000000-1.jsonl.gz"
    target.call("s3", "PutObject", Bucket=target.bucket("raw"), Key=key, Body=b"")
    job = target.name_of("AWS::Glue::Job", "features")
    hours = {"--start": "2026-01-05T00:00:00Z", "--end": "2026-01-05T01:00:00Z"}
    answer = target.call("glue", "StartJobRun", JobName=job, Arguments=hours)
    run_id = answer["JobRunId"]
    target.run_until(target.cloud.glue.wait_event(run_id))
    run = target.call("glue", "GetJobRun", JobName=job, RunId=run_id)["JobRun"]
    assert run["JobRunState"] == "FAILED"
    assert "AccessDenied" in run["ErrorMessage"]
    assert "s3:GetObject" in run["ErrorMessage"]
