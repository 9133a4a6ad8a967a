"""What the template has to say, whoever wrote it."""

from __future__ import annotations

import json

import pytest

from infra_cdk.config import STAGES
from infra_cdk.tests.snapshot import (
    LOG_DELIVERY,
    Body,
    all_role_statements,
    listed,
    of_each_stage,
    resources,
    role_statements,
    template,
    text_of,
)
from pipeline import settings
from pipeline.etl.arrow_kernel import table_columns
from pipeline.etl.quality_rules import parse_rules
from pipeline.features import feature_names
from simulator.fleet.work_orders import WorkOrder

ALARM = "AWS::CloudWatch::Alarm"

# A resource that ends in a wildcard, and why it has to: keys, names and log streams that are
# made up while the pipeline runs, and actions that know no resource at all. In both stages.
WORKFLOWS = ("features", "compaction", "batch", "nightly", "monitoring", "training")
WILDCARDS = {
    *((f"fleetwin-dev-{name}", "RecordFailure") for name in WORKFLOWS),
    *((f"fleetwin-dev-{name}", "DeliverLogs") for name in WORKFLOWS),
    ("fleetwin-dev-topic-rule", "KeepFailedMessages"),
    ("fleetwin-dev-raw-writer", "KeepFailedBatches"),
    ("fleetwin-dev-raw-writer", "WriteRawZone"),
    ("fleetwin-dev-detector", "KeepFailedBatches"),
    ("fleetwin-dev-detector", "KeepScores"),
    ("fleetwin-dev-features-job", "ReadCode"),
    ("fleetwin-dev-features-job", "ReadReadings"),
    ("fleetwin-dev-features-job", "WriteFeatures"),
    ("fleetwin-dev-features-job", "WriteLogs"),
    ("fleetwin-dev-features-job", "UseGovernedTable"),
    ("fleetwin-dev-lake-formation", "LendTables"),
    ("fleetwin-dev-features", "ReadManifest"),
    ("fleetwin-dev-compaction-job", "ReadCode"),
    ("fleetwin-dev-compaction-job", "Rewrite"),
    ("fleetwin-dev-compaction-job", "WriteLogs"),
    ("fleetwin-dev-maintenance-transfer", "WriteWorkOrders"),
    ("fleetwin-dev-training-job", "ReadRowsAndModels"),
    ("fleetwin-dev-training-job", "WriteModels"),
    ("fleetwin-dev-training-job", "LogInToRegistry"),
    ("fleetwin-dev-training-job", "WriteLogs"),
    ("fleetwin-dev-hosting", "ReadModels"),
    ("fleetwin-dev-hosting", "CaptureData"),
    ("fleetwin-dev-hosting", "Transform"),
    ("fleetwin-dev-hosting", "LogInToRegistry"),
    ("fleetwin-dev-hosting", "WriteLogs"),
    ("fleetwin-dev-scores-job", "ReadCode"),
    ("fleetwin-dev-scores-job", "ReadRowsAndAnswers"),
    ("fleetwin-dev-scores-job", "WriteLinesAndScores"),
    ("fleetwin-dev-scores-job", "WriteLogs"),
    ("fleetwin-dev-batch", "FindModel"),
    ("fleetwin-dev-batch", "DescribeModel"),
    ("fleetwin-dev-batch", "Score"),
    ("fleetwin-dev-nightly", "ReadQuality"),
    ("fleetwin-dev-nightly", "FollowScoring"),
    ("fleetwin-dev-monitoring-job", "ReadModelsAndRows"),
    ("fleetwin-dev-monitoring-job", "KeepResults"),
    ("fleetwin-dev-monitoring-job", "PutMetrics"),
    ("fleetwin-dev-monitoring-job", "LogInToRegistry"),
    ("fleetwin-dev-monitoring-job", "WriteLogs"),
    ("fleetwin-dev-monitoring", "FindModel"),
    ("fleetwin-dev-monitoring", "RunJobs"),
    ("fleetwin-dev-evaluation-job", "ReadModelsAndRows"),
    ("fleetwin-dev-evaluation-job", "WriteEvaluations"),
    ("fleetwin-dev-evaluation-job", "LogInToRegistry"),
    ("fleetwin-dev-evaluation-job", "WriteLogs"),
    ("fleetwin-dev-training", "Train"),
    ("fleetwin-dev-training", "Tune"),
    ("fleetwin-dev-training", "DescribeBest"),
    ("fleetwin-dev-training", "FindCurrentModel"),
    ("fleetwin-dev-training", "RegisterModel"),
    ("fleetwin-dev-training", "ScaleEndpoint"),
    ("fleetwin-dev-training", "PutScalingAlarms"),
    ("fleetwin-dev-training", "JudgeModel"),
    ("fleetwin-dev-training", "Evaluate"),
    ("fleetwin-dev-training", "ReadEvaluation"),
    ("fleetwin-dev-training", "CreateModel"),
    ("fleetwin-dev-training", "ConfigureEndpoint"),
    ("fleetwin-dev-training", "MoveEndpoint"),
}


def default_spec() -> settings.FeatureSpec:
    return settings.FeatureSpec.parse(template()["Parameters"]["FeatureSpec"]["Default"])


@pytest.mark.parametrize("stage", STAGES)
def test_there_is_no_custom_resource(stage: str) -> None:
    kinds = {body["Type"] for body in template(stage)["Resources"].values()}
    assert not [kind for kind in kinds if kind.startswith("Custom::")]
    assert "AWS::CloudFormation::CustomResource" not in kinds


def test_a_topic_rule_keeps_the_order_of_a_device_and_what_fails() -> None:
    rules = {body["RuleName"]: body for body in resources("AWS::IoT::TopicRule").values()}
    assert rules.keys() == {"fleetwin_dev_telemetry", "fleetwin_dev_burst"}
    for name, rule in rules.items():
        payload = rule["TopicRulePayload"]
        kind = name.rpartition("_")[2]
        assert payload["Sql"] == f"SELECT * FROM 'fleet/+/{kind}'"
        assert payload["AwsIotSqlVersion"] == "2016-03-23"
        (action,) = payload["Actions"]
        assert action["Kinesis"]["PartitionKey"] == "${topic(2)}"
        assert payload["ErrorAction"]["S3"]["Key"].startswith("dead-letter/iot/")


def test_a_mapping_batches_answers_in_part_and_gives_up_into_the_raw_bucket() -> None:
    mappings = resources("AWS::Lambda::EventSourceMapping")
    assert len(mappings) == 2
    for mapping in mappings.values():
        assert mapping["BatchSize"] == 1000
        assert mapping["MaximumBatchingWindowInSeconds"] == {"Ref": "MappingWindowS"}
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["StartingPosition"] == "TRIM_HORIZON"
        assert 0 < mapping["MaximumRetryAttempts"] <= 100
        assert 60 <= mapping["MaximumRecordAgeInSeconds"] <= 604_800
        destination = text_of(mapping["DestinationConfig"]["OnFailure"]["Destination"])
        assert destination.startswith("<LakeRaw")


def test_a_batch_waits_ten_seconds_unless_a_stack_says_otherwise() -> None:
    assert template()["Parameters"]["MappingWindowS"]["Default"] == 10


def test_a_function_has_its_variables_its_handler_and_a_log_group_that_forgets() -> None:
    expected = {
        "pipeline.ingestion.raw_writer.handler": settings.RAW_WRITER_VARIABLES,
        "pipeline.detection.detector.handler": settings.DETECTOR_VARIABLES,
    }
    groups = resources("AWS::Logs::LogGroup")
    functions = resources("AWS::Lambda::Function").values()
    assert {body["Handler"] for body in functions} == expected.keys()
    for body in functions:
        assert tuple(body["Environment"]["Variables"]) == expected[body["Handler"]]
        assert body["Runtime"] == "python3.11"
        group = groups[body["LoggingConfig"]["LogGroup"]["Ref"]]
        assert group["LogGroupName"] == f"/aws/lambda/{body['FunctionName']}"
        assert group["RetentionInDays"] > 0


JOBS = {body["Name"]: body for body in resources("AWS::Glue::Job").values()}


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_pinned_to_the_spark_that_is_tested_and_runs_once_at_a_time(name: str) -> None:
    job = JOBS[name]
    assert job["GlueVersion"] == "5.1"
    assert job["Command"]["Name"] == "glueetl"
    assert job["ExecutionProperty"] == {"MaxConcurrentRuns": 1}


def test_the_features_job_is_given_what_its_script_asks_for() -> None:
    job = JOBS["fleetwin-dev-features"]
    given = {name for name in job["DefaultArguments"] if "_" in name or name in ("--table",)}
    assert given == {
        "--raw_bucket",
        "--processed_bucket",
        "--table",
        "--feature_spec",
        "--extra_features",
        "--quality_rules",
    }
    parse_rules(job["DefaultArguments"]["--quality_rules"])


def test_the_features_table_has_the_columns_that_the_pipeline_computes() -> None:
    tables = {
        body["TableInput"]["Name"]: body["TableInput"]
        for body in resources("AWS::Glue::Table").values()
    }
    of_readings = {"telemetry_raw", "bursts_raw", "maintenance"}
    assert tables.keys() == of_readings | {"features", "scores", "live_scores"}
    for name, table in tables.items():
        keys = ["dt"] if name == "maintenance" else ["dt", "hour"]
        assert [key["Name"] for key in table["PartitionKeys"]] == keys
    columns = [column["Name"] for column in tables["features"]["StorageDescriptor"]["Columns"]]
    arguments = JOBS["fleetwin-dev-features"]["DefaultArguments"]
    assert arguments["--extra_features"] == {"Ref": "ExtraFeatures"}
    extra = template()["Parameters"]["ExtraFeatures"]["Default"]
    spec = default_spec().extended(extra)
    computed = [name for name, _ in table_columns(spec, normalised=False)]
    assert columns == computed
    assert set(feature_names(default_spec())) < set(columns)


def test_the_transfer_of_work_orders_is_there_only_with_a_server_and_verifies() -> None:
    bodies = template()["Resources"].values()
    parts = [body for body in bodies if body["Type"].startswith("AWS::DataSync::")]
    assert {body["Type"].rpartition(":")[2] for body in parts} == {
        *("Agent", "LocationNFS", "LocationS3", "Task")
    }
    (condition,) = {body["Condition"] for body in parts}
    judged = template()["Conditions"][condition]
    assert judged == {"Fn::Not": [{"Fn::Equals": [{"Ref": "MaintenanceServer"}, ""]}]}
    assert template()["Parameters"]["MaintenanceServer"]["Default"] == ""
    (task,) = resources("AWS::DataSync::Task").values()
    assert task["Options"]["VerifyMode"] == "ONLY_FILES_TRANSFERRED"
    assert task["Options"]["PreserveDeletedFiles"] == "PRESERVE"


def test_a_work_order_has_a_column_for_each_of_its_fields() -> None:
    order = WorkOrder(
        0, "pump-001", "centrifugal_pump", "corrective", "failure", "imbalance", ("imbalance",),
        False, 1.0, 2.0, 3.0, 4.0, True, "", 1, 80.0, 400.0,
    )  # fmt: skip
    (table,) = (
        body["TableInput"]
        for body in resources("AWS::Glue::Table").values()
        if body["TableInput"]["Name"] == "maintenance"
    )
    columns = [column["Name"] for column in table["StorageDescriptor"]["Columns"]]
    assert sorted(columns) == sorted(order.to_record(0))


@pytest.mark.parametrize("stage", STAGES)
def test_every_statement_of_a_role_has_a_name_and_only_the_listed_ones_a_wildcard(
    stage: str,
) -> None:
    found = set()
    for role, statement in all_role_statements(stage):
        assert statement["Effect"] == "Allow"
        assert statement["Sid"], role
        assert not [action for action in listed(statement["Action"]) if "*" in action], role
        if any("*" in text_of(resource) for resource in listed(statement["Resource"])):
            found.add((role.replace(f"-{stage}-", "-dev-"), statement["Sid"]))
    assert found == WILDCARDS


@pytest.mark.parametrize("stage", STAGES)
def test_only_actions_that_know_no_resource_are_on_every_one(stage: str) -> None:
    everywhere = {
        action
        for _, statement in all_role_statements(stage)
        if "*" in listed(statement["Resource"])
        for action in listed(statement["Action"])
    }
    assert everywhere == {
        "ecr:GetAuthorizationToken",
        "cloudwatch:PutMetricData",
        "lakeformation:GetDataAccess",
        "sagemaker:ListModelPackages",
        *LOG_DELIVERY,
    }


@pytest.mark.parametrize(("stage", "logical_id"), of_each_stage("AWS::IAM::Role"))
def test_a_role_is_for_one_service_and_has_only_its_own_policy(stage: str, logical_id: str) -> None:
    role = resources("AWS::IAM::Role", stage)[logical_id]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"].keys() == {"Service"}
    assert "ManagedPolicyArns" not in role
    assert len(role["Policies"]) == 1


@pytest.mark.parametrize("stage", STAGES)
def test_no_policy_is_attached_from_outside_a_role(stage: str) -> None:
    assert not resources("AWS::IAM::Policy", stage)
    assert not resources("AWS::IAM::ManagedPolicy", stage)


@pytest.mark.parametrize("stage", STAGES)
def test_roles_are_passed_to_sagemaker_only(stage: str) -> None:
    passing = [
        statement
        for _, statement in all_role_statements(stage)
        if "iam:PassRole" in listed(statement["Action"])
    ]
    assert len(passing) == 4
    for statement in passing:
        service = {"iam:PassedToService": "sagemaker.amazonaws.com"}
        assert statement["Condition"] == {"StringEquals": service}


def test_the_endpoint_that_is_invoked_is_the_one_that_the_workflow_moves() -> None:
    (name,) = (
        body["Environment"]["Variables"]["ENDPOINT_NAME"]
        for body in resources("AWS::Lambda::Function").values()
        if "ENDPOINT_NAME" in body["Environment"]["Variables"]
    )
    (machine,) = (
        machine
        for machine in resources("AWS::StepFunctions::StateMachine").values()
        if machine["StateMachineName"] == "fleetwin-dev-training"
    )
    assert machine["DefinitionSubstitutions"]["EndpointName"] == name
    invoked = role_statements("fleetwin-dev-detector")["Score"]["Resource"]
    assert text_of(invoked).endswith(f":endpoint/{name}")


@pytest.mark.parametrize(("stage", "logical_id"), of_each_stage(ALARM))
def test_an_alarm_tells_the_alert_topic_and_is_silent_without_data(
    stage: str, logical_id: str
) -> None:
    alarm = resources(ALARM, stage)[logical_id]
    (topic,) = resources("AWS::SNS::Topic", stage)
    # An execution that ends badly is told once, by itself or by the rule on status events.
    is_told_otherwise = alarm["Namespace"] == "AWS/States"
    assert alarm.get("AlarmActions", []) == ([] if is_told_otherwise else [{"Ref": topic}])
    assert alarm["TreatMissingData"] == "notBreaching"


@pytest.mark.parametrize("stage", STAGES)
def test_there_is_an_alarm_for_everything_that_loses_or_delays_readings(stage: str) -> None:
    alarms = resources(ALARM, stage).values()
    watched = {(body["Namespace"], body["MetricName"]) for body in alarms}
    assert watched == {
        ("AWS/Kinesis", "WriteProvisionedThroughputExceeded"),
        ("AWS/Lambda", "Errors"),
        ("AWS/Lambda", "IteratorAge"),
        ("AWS/SNS", "NumberOfNotificationsFailed"),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ("AWS/SageMaker", "Invocation5XXErrors"),
        ("AWS/SageMaker", "ModelLatency"),
        ("AWS/States", "ExecutionsFailed"),
        ("AWS/States", "ExecutionsTimedOut"),
        ("Fleetwin", "DeadLettered"),
        ("Fleetwin", "FeatureLag"),
        ("Fleetwin", "Late"),
    }
    dimensions = [tuple(pair["Name"] for pair in body.get("Dimensions", [])) for body in alarms]
    assert dimensions.count(("FunctionName",)) == 4


@pytest.mark.parametrize("stage", STAGES)
def test_only_the_topic_delivers_into_the_inbox_and_alarms_may_publish(stage: str) -> None:
    (topic,) = resources("AWS::SNS::Topic", stage)
    policies = resources("AWS::SQS::QueuePolicy", stage)
    (queue_policy,) = (each for name, each in policies.items() if name.startswith("Alerting"))
    allowed = _allowed(queue_policy)
    assert [statement["Condition"] for statement in allowed] == [
        {"ArnEquals": {"aws:SourceArn": {"Ref": topic}}}
    ]
    (topic_policy,) = resources("AWS::SNS::TopicPolicy", stage).values()
    assert [statement["Principal"] for statement in _allowed(topic_policy)] == [
        {"Service": "cloudwatch.amazonaws.com"}
    ]
    (subscription,) = resources("AWS::SNS::Subscription", stage).values()
    assert subscription["RawMessageDelivery"] is True


def test_the_default_feature_spec_is_one_that_the_pipeline_accepts_and_compact() -> None:
    text = template()["Parameters"]["FeatureSpec"]["Default"]
    assert default_spec().sensors
    assert text == json.dumps(json.loads(text), separators=(",", ":"))


@pytest.mark.parametrize("stage", STAGES)
def test_names_are_published_as_parameters(stage: str) -> None:
    names = {body["Name"] for body in resources("AWS::SSM::Parameter", stage).values()}
    meant = ("raw-bucket", "endpoint", "feature-spec")
    assert {f"/fleetwin/{stage}/{name}" for name in meant} < names


def _allowed(policy: Body) -> list[Body]:
    statements = policy["PolicyDocument"]["Statement"]
    return [statement for statement in statements if statement["Effect"] == "Allow"]
