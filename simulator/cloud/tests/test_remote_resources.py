"""After a deployment the endpoint is asked for what was created there; what is not is named.

moto plays it and, where it was prepared, LocalStack is it.
"""

from __future__ import annotations

import json

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.remote_endpoint import OPTIONAL, RemoteEndpoint
from simulator.cloud.remote_resources import DESCRIBES, missing_there
from simulator.cloud.resources import MAPPINGS, Created
from simulator.cloud.resources.mapping import Made, Resource

PUBLISHES = {
    "Effect": "Allow",
    "Principal": {"Service": "cloudwatch.amazonaws.com"},
    "Action": "sns:Publish",
}
DOCUMENT = {"Version": "2012-10-17", "Statement": [{**PUBLISHES, "Resource": "*"}]}


@pytest.fixture(scope="module")
def twin(forwarding_twin: Cloud) -> Cloud:
    """Return a twin that forwards to the endpoint."""
    return forwarding_twin


def test_each_type_that_is_asked_for_is_one_that_templates_may_have() -> None:
    assert set(DESCRIBES) <= set(MAPPINGS)


NO_TOPIC = "arn:aws:sns:us-east-1:000000000000:no-such-thing"
BROUGHT_ABOUT = {
    "AWS::SNS::Subscription": Made("sns", "Subscribe", {"Protocol": "sqs"}, {}),
    "AWS::SNS::TopicPolicy": Made(
        "sns",
        "SetTopicAttributes",
        {"TopicArn": NO_TOPIC, "AttributeValue": json.dumps(DOCUMENT)},
        {},
    ),
    "AWS::SQS::QueuePolicy": Made(
        "sqs",
        "SetQueueAttributes",
        {"QueueUrl": "no-such-thing", "Attributes": {"Policy": json.dumps(DOCUMENT)}},
        {},
    ),
}
"""The call that made a resource whose physical id does not say what to ask for."""


@pytest.mark.parametrize("kind", sorted(DESCRIBES))
def test_a_resource_of_each_forwarded_type_that_is_not_there_is_named(
    kind: str, there: RemoteEndpoint
) -> None:
    everything = RemoteEndpoint(there.url)
    everything.services = (*everything.services, *OPTIONAL)
    made = (BROUGHT_ABOUT[kind],) if kind in BROUGHT_ABOUT else ()
    for physical_id in ("no-such-thing", "unknown", ""):
        attributes = {"QueueName": physical_id}
        one = Created("stack", "One", kind, physical_id, attributes, made=made)
        (said,) = missing_there(everything, [("One", one)])
        assert said.startswith("One (")


def test_policies_and_subscriptions_of_a_stack_are_looked_for_as_they_were_made(
    twin: Cloud, there: RemoteEndpoint
) -> None:
    queue = twin.call("sqs", "CreateQueue", QueueName="looked-for")["QueueUrl"]
    topic = twin.call("sns", "CreateTopic", Name="looked-for")["TopicArn"]
    publishes = {**PUBLISHES, "Resource": topic}
    document = {"Version": "2012-10-17", "Statement": [publishes]}
    to_queue = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
    subscribed = {
        "TopicArn": topic,
        "Protocol": "sqs",
        "Endpoint": twin.context.arn("sqs", "looked-for"),
    }
    resources = [
        (kind, MAPPINGS[kind].create(Resource("Dev", kind, kind, values, twin.context)))
        for kind, values in (
            ("AWS::SNS::Subscription", subscribed),
            # The twin delivers by e-mail: the endpoint does not know of it.
            ("AWS::SNS::Subscription", {**subscribed, "Protocol": "email", "Endpoint": "a@b.test"}),
            ("AWS::SNS::TopicPolicy", {"Topics": [topic], "PolicyDocument": document}),
            (
                "AWS::SQS::QueuePolicy",
                {"Queues": [queue], "PolicyDocument": {**document, "Statement": [to_queue]}},
            ),
        )
    ]
    assert missing_there(there, resources) == []
    changed = json.dumps({**document, "Statement": [{**publishes, "Sid": "Another"}]})
    policy = {"AttributeName": "Policy", "AttributeValue": changed}
    there.forward("sns", "SetTopicAttributes", {"TopicArn": topic, **policy})
    url = there.forward("sqs", "GetQueueUrl", {"QueueName": "looked-for"})["QueueUrl"]
    there.forward("sqs", "SetQueueAttributes", {"QueueUrl": url, "Attributes": {"Policy": ""}})
    there.forward("sns", "Unsubscribe", {"SubscriptionArn": resources[0][1].physical_id})
    said = missing_there(there, resources)
    assert [line.partition(" ")[0] for line in said] == [
        *("AWS::SNS::Subscription", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy")
    ]
