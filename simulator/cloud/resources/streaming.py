"""Kinesis streams and IoT topic rules: the way of a reading into the account."""

from __future__ import annotations

from typing import Any

from simulator.cloud.resources.declarations import NAMED, enforced, honoured
from simulator.cloud.resources.mapping import Outcome, Resource, maps


@maps(
    "AWS::Kinesis::Stream",
    {
        "Name": NAMED,
        "ShardCount": enforced("test_kinesis.test_a_mebibyte_a_second_is_all_that_a_shard_takes"),
        "RetentionPeriodHours": honoured("test_kinesis.test_longer_retention_keeps_records_longer"),
        "StreamModeDetails": honoured(
            "test_kinesis.test_every_answer_of_the_control_plane_fits_botocores_shape"
        ),
        "StreamEncryption": enforced(
            "test_key_use.test_a_stream_needs_one_action_to_be_written_and_one_to_be_read"
        ),
    },
)
def stream(resource: Resource) -> Outcome:
    """Create a stream and wait until it is ACTIVE, as CloudFormation does."""
    properties = resource.properties
    name = resource.name("Name", longest=128)
    retention_h = int(properties.take("RetentionPeriodHours", 24))
    encryption = properties.take("StreamEncryption")
    values = {"StreamName": name, **properties.rest()}
    # A template without a shard count means on-demand, as CreateStream does by itself.
    params = resource.fit("kinesis", "CreateStream", values)
    resource.call("kinesis", "CreateStream", params)

    def ready() -> bool:
        answer = resource.call("kinesis", "DescribeStreamSummary", {"StreamName": name})
        return bool(answer["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE")

    resource.wait_until(ready, f"stream {name}")
    if retention_h != 24:
        resource.call(
            "kinesis",
            "IncreaseStreamRetentionPeriod",
            {"StreamName": name, "RetentionPeriodHours": retention_h},
        )
    if encryption:
        params = resource.fit(
            "kinesis",
            "StartStreamEncryption",
            {"StreamName": name, **encryption},
            path="StreamEncryption",
        )
        resource.call("kinesis", "StartStreamEncryption", params)
    return name, {"Arn": resource.context.arn("kinesis", f"stream/{name}")}


@maps(
    "AWS::IoT::TopicRule",
    {
        "RuleName": NAMED,
        "TopicRulePayload": honoured(
            "test_iot.test_messages_reach_the_stream_in_the_order_of_their_arrival"
        ),
    },
)
def topic_rule(resource: Resource) -> Outcome:
    """Create a rule; the API spells the template's members with a small first letter."""
    # Rule names admit no hyphen: ^[a-zA-Z0-9_]+$.
    name = resource.name("RuleName", longest=128).replace("-", "_")
    values: dict[str, Any] = {
        "ruleName": name,
        "TopicRulePayload": resource.properties.need("TopicRulePayload"),
    }
    resource.call("iot", "CreateTopicRule", resource.fit("iot", "CreateTopicRule", values))
    return name, {"Arn": resource.context.arn("iot", f"rule/{name}")}
