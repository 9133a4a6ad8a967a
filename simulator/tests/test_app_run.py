"""`fleetwin run --assembly` on an app that is not ours: what ran within the time, and a report."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from simulator.app_run import AppOptions, messages_of, run_app, seconds_of
from simulator.cli_commands import app
from simulator.errors import ScenarioError
from simulator.targets import SNAPSHOT
from simulator.tests.test_assembly import EXAMPLE, changed

MESSAGES = EXAMPLE.parent / "messages.jsonl"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": [f"{name}.amazonaws.com" for name in ("events", "states")]},
        }
    ],
}
MACHINE = {
    "StartAt": "Cool",
    "States": {
        "Cool": {"Type": "Wait", "Seconds": 30, "Next": "Tell"},
        "Tell": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sns:publish",
            "Parameters": {"TopicArn": "${Topic}", "Message": "cooled"},
            "End": True,
        },
    },
}


def add_what_happens_by_itself(resources: dict[str, Any]) -> None:
    """Add a schedule, a workflow that may not publish, an alarm; the function may not either."""
    start = {"Effect": "Allow", "Action": "states:StartExecution", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [start]}
    resources["Role"] = {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": TRUST,
            "Policies": [{"PolicyName": "start", "PolicyDocument": policy}],
        },
    }
    (topic,) = (name for name, body in resources.items() if body["Type"] == "AWS::SNS::Topic")
    resources["Machine"] = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "StateMachineName": "cooling",
            "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
            "DefinitionString": json.dumps(MACHINE),
            "DefinitionSubstitutions": {"Topic": {"Ref": topic}},
        },
    }
    resources["Schedule"] = {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "Name": "every-quarter",
            "ScheduleExpression": "rate(15 minutes)",
            "Targets": [
                {
                    "Id": "machine",
                    "Arn": {"Ref": "Machine"},
                    "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                }
            ],
        },
    }
    (watch,) = (name for name, body in resources.items() if body["Type"] == "AWS::Lambda::Function")
    resources["Alarm"] = {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmName": "door-watch-fails",
            "Namespace": "AWS/Lambda",
            "MetricName": "Errors",
            "Dimensions": [{"Name": "FunctionName", "Value": {"Ref": watch}}],
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 0,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
        },
    }
    for body in resources.values():
        if body["Type"] == "AWS::IAM::Policy":
            for statement in body["Properties"]["PolicyDocument"]["Statement"]:
                if statement["Action"] == "sns:Publish":
                    statement["Action"] = "sns:ListTopics"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of the changed example."""
    folder = tmp_path_factory.mktemp("app")
    assembly = changed(folder, add_what_happens_by_itself)
    words = ["run", "--assembly", str(assembly), "--out", str(folder / "out")]
    words += ["--for", "40m", "--messages", str(MESSAGES)]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, "a denied call does not fail the run, as it does not end `up`"
    assert (folder / "out" / "app-report.txt").read_text("utf-8") in result.stdout
    return folder / "out"


@pytest.fixture(scope="module")
def report(out: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((out / "app-report.json").read_text("utf-8"))
    return loaded


def test_functions_run_with_what_is_published_and_their_failures_are_counted(
    report: dict[str, Any],
) -> None:
    assert (report["seconds"], report["published"]) == (2_400.0, 4)
    (watch,) = report["functions"]
    # A batch that fails is tried again until the records have aged out.
    assert watch["invocations"] == watch["errors"] > 3
    assert report["topics"][0]["messages"] == 0


def test_schedules_start_workflows_whose_ends_are_told(report: dict[str, Any]) -> None:
    (rule,) = report["rules"]
    assert (rule["name"], rule["failed"]) == ("every-quarter", 0)
    assert rule["triggered"] == len(report["executions"]) >= 2
    for execution in report["executions"]:
        assert execution["workflow"] == "cooling"
        assert (execution["status"], execution["error"]) == ("FAILED", "SNS.AmazonSNSException")


def test_alarms_are_evaluated_and_their_changes_told(report: dict[str, Any]) -> None:
    (alarm,) = report["alarms"]
    assert alarm["name"] == "door-watch-fails"
    assert any(change["what"].endswith("to ALARM") for change in alarm["changes"])


def test_denied_calls_are_told_with_the_state_that_made_them(report: dict[str, Any]) -> None:
    told = {(each["action"], each["at"]) for each in report["denied"]}
    assert told == {("sns:Publish", "Tell"), ("sns:Publish", "")}


def test_the_text_says_what_the_numbers_say(out: Path, report: dict[str, Any]) -> None:
    text = (out / "app-report.txt").read_text("utf-8")
    assert f"cooling: {len(report['executions'])} FAILED (SNS.AmazonSNSException)" in text
    assert "sns:Publish on arn:aws:sns:us-east-1:000000000000:" in text
    assert ", at Tell" in text
    assert "door-watch-fails: " in text
    assert (out / "twin" / "iam" / "usage.json").exists(), "`fleetwin iam report` can read it"


def test_the_example_as_it_is_runs_with_nothing_failed_and_the_same_each_time(
    tmp_path: Path,
) -> None:
    options = [AppOptions(EXAMPLE, tmp_path / each, messages=MESSAGES) for each in ("a", "b")]
    first, second = map(run_app, options)
    assert first == second
    (watch,) = first["functions"]
    assert (watch["invocations"], watch["errors"]) == (3, 0)
    assert [first[name][0]["messages"] for name in ("topics", "queues")] == [3, 3]
    assert (first["denied"], first["problems"], first["not_supported"]) == ([], [], [])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nothing", "line 1: no JSON \\(Expecting value"),
        ('{"topic": "a"}', "line 1: must be an object with topic and payload"),
        ('{"topic": "a", "payload": 1, "qos": 1}', "line 1: must be an object"),
        ('\n{"topic": "a/+", "payload": 1}', "line 2: topic 'a/\\+' is no topic"),
        ('{"topic": "a", "payload": 1, "at_s": 60}', "at_s 60 is not within the run's 60 s"),
        ('{"topic": "a", "payload": 1, "at_s": "soon"}', "line 1: at_s 'soon' is no number"),
    ],
)
def test_a_line_that_is_no_message_is_refused_by_its_number(
    tmp_path: Path, text: str, why: str
) -> None:
    file = tmp_path / "messages.jsonl"
    file.write_text(text, "utf-8")
    with pytest.raises(ScenarioError, match=why):
        list(messages_of(file, 60.0))


def test_a_file_of_messages_that_is_not_there_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as refused:
        list(messages_of(tmp_path / "gone.jsonl", 60.0))
    said = f"--messages {tmp_path}/gone.jsonl: No such file or directory; give a file of JSON lines"
    assert str(refused.value) == said


@given(st.lists(st.floats(0.0, 59.0), max_size=8))
def test_messages_come_in_the_order_of_their_times(times: list[float]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "messages.jsonl"
        lines = [json.dumps({"at_s": at, "topic": "t", "payload": {"n": at}}) for at in times]
        file.write_text("\n".join(lines), "utf-8")
        found = list(messages_of(file, 60.0))
    assert [each.at_s for each in found] == sorted(times)
    assert [json.loads(each.message.payload)["n"] for each in found] == sorted(times)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90.0), ("15m", 900.0), ("2h", 7_200.0), ("1.5d", 129_600.0)]
)
def test_a_time_has_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["0s", "10", "h", "-1h", "1 h", "1w"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ScenarioError, match=r"--for .*must be a time above 0"):
        seconds_of(text)


def test_what_belongs_to_an_app_is_refused_for_our_own_stack(tmp_path: Path) -> None:
    for more in (["--for", "1h"], ["--assembly", str(SNAPSHOT), "--messages", str(MESSAGES)]):
        words = ["run", "tiny", "--out", str(tmp_path / "out"), *more]
        with pytest.raises(ScenarioError, match="for an app that is not ours"):
            CliRunner().invoke(app, words, catch_exceptions=False)
