"""What is given up, and the queue and alarm that say so."""

from __future__ import annotations

from infra_cdk.tests.snapshot import listed, resources, role_statements, text_of


def test_what_is_given_up_is_counted_in_a_queue_that_only_its_rule_fills() -> None:
    policies = resources("AWS::SQS::QueuePolicy")
    (policy,) = (each for name, each in policies.items() if name.startswith("Kept"))
    (allowed,) = [
        each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"
    ]
    assert allowed["Principal"] == {"Service": "events.amazonaws.com"}
    rule_id = allowed["Condition"]["ArnEquals"]["aws:SourceArn"]["Fn::GetAtt"][0]
    rule = resources("AWS::Events::Rule")[rule_id]
    keys = rule["EventPattern"]["detail"]["object"]["key"]
    (topic_rule,) = (
        body["TopicRulePayload"]
        for body in resources("AWS::IoT::TopicRule").values()
        if body["RuleName"].endswith("_telemetry")
    )
    assert topic_rule["ErrorAction"]["S3"]["Key"].startswith(keys[0]["prefix"])
    mapped = listed(role_statements("fleetwin-dev-detector")["KeepFailedBatches"]["Resource"])
    assert text_of(mapped[0]).endswith(f"/{keys[1]['prefix']}*")
    alarms = {each["AlarmName"]: each for each in resources("AWS::CloudWatch::Alarm").values()}
    (queue,) = policy["Queues"]
    alarm = alarms["fleetwin-dev-records-kept"]
    (dimension,) = alarm["Dimensions"]
    assert dimension == {
        "Name": "QueueName",
        "Value": {"Fn::GetAtt": [queue["Ref"], "QueueName"]},
    }
    assert rule["Targets"][0]["Arn"] == {"Fn::GetAtt": [queue["Ref"], "Arn"]}
    assert "QueueName" in resources("AWS::SQS::Queue")[queue["Ref"]]
