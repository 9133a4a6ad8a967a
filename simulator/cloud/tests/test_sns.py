"""SNS: what a topic takes reaches whoever subscribes, in AWS's forms, or ends where it must."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import simpy

from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.sns_retries import http_delays_s, service_delays_s
from simulator.cloud.tests.twin import START

HANDLER = """
import json
def handler(event, context):
    print("GOT " + json.dumps(event))
"""
TOPIC = "arn:aws:sns:us-east-1:000000000000:alerts"
INBOX = "arn:aws:sqs:us-east-1:000000000000:inbox"
PUMP = {"device_id": {"DataType": "String", "StringValue": "pump-007"}}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(START, tmp_path / "state")
    made.call("sns", "CreateTopic", Name="alerts")
    yield made
    made.close()


def queue(cloud: Cloud, name: str = "inbox", *, open_to_topic: bool = True) -> str:
    """Create a queue that the topic may send to; return its URL."""
    arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": TOPIC}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    attributes = {"Policy": policy} if open_to_topic else {}
    return str(cloud.call("sqs", "CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"])


def subscribe(cloud: Cloud, protocol: str, endpoint: str, **attributes: str) -> str:
    params = {"TopicArn": TOPIC, "Protocol": protocol, "Endpoint": endpoint}
    answer = cloud.call("sns", "Subscribe", **params, Attributes=attributes)
    return str(answer["SubscriptionArn"])


def publish(cloud: Cloud, message: str = "m", wait_s: float = 1.0, **params: Any) -> str:
    answer = cloud.call("sns", "Publish", TopicArn=TOPIC, Message=message, **params)
    run(cloud, wait_s)
    return str(answer["MessageId"])


def run(cloud: Cloud, seconds: float) -> None:
    cloud.engine.run(cloud.engine.env.now + seconds)


def received(cloud: Cloud, url: str) -> list[dict[str, Any]]:
    answer = cloud.call(
        "sqs", "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    )
    return list(answer.get("Messages", []))


def counted(cloud: Cloud, name: str) -> float:
    key = ("AWS/SNS", name, (("TopicName", "alerts"),))
    start_s = START.timestamp()
    return sum(v or 0.0 for v in cloud.metrics.statistics(key, "Sum", start_s, 60, 24 * 60))


def test_a_queue_gets_the_notification_in_its_envelope(cloud: Cloud) -> None:
    url = queue(cloud)
    subscription = subscribe(cloud, "sqs", INBOX)
    message_id = publish(cloud, "worn", Subject="Alert", MessageAttributes=PUMP)
    body = json.loads(received(cloud, url)[0]["Body"])
    assert body["Type"] == "Notification"
    assert (body["MessageId"], body["TopicArn"]) == (message_id, TOPIC)
    assert (body["Subject"], body["Message"]) == ("Alert", "worn")
    assert body["Timestamp"] == "2026-01-05T00:00:00.000Z"
    assert body["MessageAttributes"] == {"device_id": {"Type": "String", "Value": "pump-007"}}
    assert body["UnsubscribeURL"].endswith(subscription)
    assert counted(cloud, "NumberOfNotificationsDelivered") == 1


def test_a_raw_delivery_is_the_message_and_its_attributes(cloud: Cloud) -> None:
    url = queue(cloud)
    subscribe(cloud, "sqs", INBOX, RawMessageDelivery="true")
    publish(cloud, '{"a": 1}', MessageAttributes=PUMP)
    (message,) = received(cloud, url)
    assert message["Body"] == '{"a": 1}'
    assert message["MessageAttributes"]["device_id"]["StringValue"] == "pump-007"
    many = {f"a{n}": {"DataType": "Number", "StringValue": str(n)} for n in range(11)}
    publish(cloud, MessageAttributes=many)
    assert counted(cloud, "NumberOfNotificationsFailed") == 1, "SQS takes ten attributes"


def test_a_filter_policy_decides_by_attributes_or_by_the_body(cloud: Cloud) -> None:
    url = queue(cloud)
    arn = subscribe(cloud, "sqs", INBOX, FilterPolicy='{"device_id":["pump-007"]}')
    publish(cloud, "yes", MessageAttributes=PUMP)
    publish(cloud, "no")
    assert [json.loads(m["Body"])["Message"] for m in received(cloud, url)] == ["yes"]
    assert counted(cloud, "NumberOfNotificationsFilteredOut") == 1
    change = {"SubscriptionArn": arn, "AttributeName": "FilterPolicyScope"}
    cloud.call("sns", "SetSubscriptionAttributes", **change, AttributeValue="MessageBody")
    publish(cloud, '{"device_id": "pump-007"}')
    publish(cloud, "no JSON", MessageAttributes=PUMP)
    assert len(received(cloud, url)) == 1


def test_each_protocol_gets_its_own_text_of_a_structured_message(
    cloud: Cloud, tmp_path: Path
) -> None:
    url = queue(cloud)
    subscribe(cloud, "sqs", INBOX, RawMessageDelivery="true")
    subscribe(cloud, "email", "ops@example.com")
    texts = json.dumps({"default": "short", "email": "Dear operator"})
    publish(cloud, texts, MessageStructure="json")
    assert received(cloud, url)[0]["Body"] == "short"
    mail = sorted((tmp_path / "state/mail").iterdir())[-1]
    assert "Dear operator" in mail.read_text()


def test_a_function_really_runs_with_the_event_that_aws_gives(cloud: Cloud, tmp_path: Path) -> None:
    arn = function(cloud, tmp_path)
    subscribe(cloud, "lambda", arn)
    publish(cloud, "worn", wait_s=5.0, MessageAttributes=PUMP)
    (line,) = [one for one in cloud.logs.lines("/aws/lambda/f") if one.startswith("GOT ")]
    (record,) = json.loads(line.removeprefix("GOT "))["Records"]
    assert record["EventSource"] == "aws:sns"
    assert record["EventSubscriptionArn"].startswith(TOPIC)
    assert record["Sns"]["Message"] == "worn"
    assert record["Sns"]["Subject"] is None
    assert {"SigningCertUrl", "UnsubscribeUrl"} <= set(record["Sns"])


def function(cloud: Cloud, tmp_path: Path) -> str:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "main.py").write_text(HANDLER)
    cloud.context.assets["code"] = folder
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    trust["Principal"] = {"Service": "lambda.amazonaws.com"}  # type: ignore[assignment]
    role = "arn:aws:iam::000000000000:role/f"
    logs = {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}
    cloud.iam.put_role(role, {"Statement": [trust]}, {"logs": {"Statement": logs}})
    made = cloud.call(
        "lambda",
        "CreateFunction",
        FunctionName="f",
        Runtime="python3.11",
        Role=role,
        Handler="main.handler",
        Code={"S3Bucket": "assets", "S3Key": "code.zip"},
    )
    permission = {"Action": "lambda:InvokeFunction", "Principal": "sns.amazonaws.com"}
    cloud.call(
        "lambda", "AddPermission", FunctionName="f", StatementId="s", SourceArn=TOPIC, **permission
    )
    return str(made["FunctionArn"])


def test_a_mail_is_a_file_that_the_standard_library_reads(cloud: Cloud, tmp_path: Path) -> None:
    subscribe(cloud, "email", "ops@example.com")
    subscribe(cloud, "email-json", "../audit@example.com".replace("/", "-"))
    publish(cloud, "Pümp 7 is worn", Subject="Alert")
    names = sorted(path.name for path in (tmp_path / "state/mail").iterdir())
    assert names[2] == "000003-ops@example.com.eml"
    mail = message_from_bytes((tmp_path / "state/mail" / names[2]).read_bytes(), policy=default)
    assert (mail["To"], mail["Subject"]) == ("ops@example.com", "Alert")
    assert mail["Date"] == "Mon, 05 Jan 2026 00:00:00 +0000"
    body = mail.get_body()
    assert body is not None
    assert body.get_content().strip() == "Pümp 7 is worn"
    last = message_from_bytes((tmp_path / "state/mail" / names[3]).read_bytes(), policy=default)
    assert json.loads(str(last.get_body().get_content()))["Message"] == "Pümp 7 is worn"  # type: ignore[union-attr]


# -- what cannot be delivered


def test_what_a_queue_refuses_is_redriven_at_once(cloud: Cloud) -> None:
    queue(cloud, open_to_topic=False)
    dead = queue(cloud, "dead")
    redrive = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead"})
    subscribe(cloud, "sqs", INBOX, RedrivePolicy=redrive)
    publish(cloud, "refused")
    assert json.loads(received(cloud, dead)[0]["Body"])["Message"] == "refused"
    assert counted(cloud, "NumberOfNotificationsFailed") == 1
    assert counted(cloud, "NumberOfNotificationsRedrivenToDlq") == 1


class Endpoint:
    """An HTTP endpoint on loopback that answers with the statuses it is given, then 200."""

    def __init__(self, *statuses: int) -> None:
        self.seen: list[tuple[dict[str, str], str]] = []
        left = list(statuses)
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                seen.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(left.pop(0) if left else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_an_http_endpoint_confirms_and_is_asked_again_while_it_fails(cloud: Cloud) -> None:
    endpoint = Endpoint(200, 500, 503)
    try:
        assert subscribe(cloud, "http", endpoint.url) == "pending confirmation"
        publish(cloud, "unheard")
        ((headers, body),) = endpoint.seen
        invitation = json.loads(body)
        assert headers["x-amz-sns-message-type"] == invitation["Type"] == "SubscriptionConfirmation"
        confirm(cloud, invitation["SubscribeURL"])
        publish(cloud, "heard")
        assert len(endpoint.seen) == 2
        run(cloud, 19.0)
        assert len(endpoint.seen) == 2
        run(cloud, 30.0)
        assert [json.loads(b)["Message"] for _, b in endpoint.seen[1:]] == ["heard"] * 3
        assert endpoint.seen[1][0]["x-amz-sns-topic-arn"] == TOPIC
        assert counted(cloud, "NumberOfNotificationsDelivered") == 1
    finally:
        endpoint.close()


def confirm(cloud: Cloud, url: str) -> None:
    """Visit a SubscribeURL while the engine runs."""
    engine = cloud.engine
    done = engine.env.event()

    def visit() -> None:
        with urlopen(url) as answer:
            text = answer.read().decode()
        engine.post(lambda: _succeed(done, text))

    engine.begin_computing("visitor")
    threading.Thread(target=visit, daemon=True).start()
    assert engine.run(done).startswith(TOPIC)
    engine.end_computing("visitor")


def _succeed(event: simpy.Event, text: str) -> None:
    event.succeed(text)


@pytest.mark.parametrize(("status", "attempts"), [(404, 1), (429, 4), (500, 4)])
def test_an_endpoints_refusal_is_final_and_its_failure_is_not(
    cloud: Cloud, status: int, attempts: int
) -> None:
    endpoint = Endpoint(200, *[status] * 9)
    try:
        subscribe(cloud, "http", endpoint.url)
        run(cloud, 1.0)
        token = json.loads(endpoint.seen[0][1])["Token"]
        cloud.call("sns", "ConfirmSubscription", TopicArn=TOPIC, Token=token)
        publish(cloud, wait_s=3_600.0)
        assert len(endpoint.seen) == 1 + attempts
        assert counted(cloud, "NumberOfNotificationsFailed") == 1
    finally:
        endpoint.close()


def test_retries_wait_as_documented() -> None:
    service = list(service_delays_s())
    assert len(service) == 100_015
    assert service[:15] == [0, 0, 0, 1, 1, 1, 2, 4, 8, 16, 20, 20, 20, 20, 20]
    assert list(http_delays_s({})) == [20.0] * 3
    policy = {"minDelayTarget": 1, "maxDelayTarget": 61, "numRetries": 6, "numNoDelayRetries": 1}
    more = {"numMinDelayRetries": 1, "numMaxDelayRetries": 1}
    assert list(http_delays_s(policy | more)) == [0.0, 1.0, 21.0, 41.0, 61.0, 61.0]
    for function in ("arithmetic", "geometric", "exponential"):
        delays = list(http_delays_s({**policy, "backoffFunction": function}))[1:]
        assert delays == sorted(delays)
        assert delays[-1] == pytest.approx(61.0)


# -- what is refused


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"Message": ""}, "Empty message"),
        ({"Message": "x" * 262_145}, "Message too long"),
        ({"Message": "x" * 262_140, "MessageAttributes": PUMP}, "Message too long"),
        ({"Subject": "x" * 101}, "Subject"),
        ({"Subject": "two\nlines"}, "Subject"),
        ({"Subject": " blank"}, "Subject"),
        ({"MessageStructure": "json"}, "JSON message body failed to parse"),
        ({"MessageStructure": "json", "Message": '{"sqs": "x"}'}, "No default entry"),
        ({"MessageAttributes": {".a": PUMP["device_id"]}}, "name '.a' is invalid"),
        ({"MessageAttributes": {"a": {"DataType": "Text", "StringValue": "x"}}}, "attribute type"),
        ({"MessageAttributes": {"a": {"DataType": "String"}}}, "must contain non-empty"),
        ({"MessageAttributes": {"a": {"DataType": "Number", "StringValue": "x"}}}, "number"),
        ({"MessageDeduplicationId": "1"}, "not valid for this topic type"),
    ],
)
def test_a_message_that_no_topic_takes_is_refused(
    cloud: Cloud, params: dict[str, Any], said: str
) -> None:
    with pytest.raises(AwsError, match=said) as error:
        publish(cloud, **{"message": params.pop("Message", "m"), **params})
    assert error.value.code == "InvalidParameter"


@pytest.mark.parametrize(
    ("protocol", "endpoint", "attributes", "said"),
    [
        ("sqs", "inbox", {}, "SQS endpoint ARN"),
        ("sqs", INBOX + ".fifo", {}, "FIFO SQS Queues"),
        ("lambda", INBOX, {}, "Lambda endpoint ARN"),
        ("email", "nobody", {}, "Email address"),
        ("http", "https://127.0.0.1/", {}, "match the specified protocol"),
        ("email", "a@b", {"RawMessageDelivery": "true"}, "does not support raw message"),
        ("sqs", INBOX, {"RawMessageDelivery": "yes"}, "RawMessageDelivery"),
        ("sqs", INBOX, {"RedrivePolicy": "{"}, "RedrivePolicy"),
        ("sqs", INBOX, {"FilterPolicyScope": "RandomValue"}, "Invalid value .RandomValue."),
        ("sqs", INBOX, {"DeliveryPolicy": '{"healthyRetryPolicy":{}}'}, "DeliveryPolicy"),
        ("sqs", INBOX, {"Colour": "red"}, "Unknown attribute"),
    ],
)
def test_a_subscription_that_cannot_work_is_refused(
    cloud: Cloud, protocol: str, endpoint: str, attributes: dict[str, str], said: str
) -> None:
    with pytest.raises(AwsError, match=said):
        subscribe(cloud, protocol, endpoint, **attributes)


def test_what_the_twin_does_not_do_is_refused_by_name(cloud: Cloud) -> None:
    with pytest.raises(NotSupportedByTwin, match=r"example\.com"):
        subscribe(cloud, "https", "https://example.com/hook")
    with pytest.raises(NotSupportedByTwin, match="sms"):
        subscribe(cloud, "sms", "+4712345678")
    with pytest.raises(NotSupportedByTwin, match="FIFO"):
        cloud.call("sns", "CreateTopic", Name="t.fifo", Attributes={"FifoTopic": "true"})
    with pytest.raises(NotSupportedByTwin, match="phone number"):
        cloud.call("sns", "Publish", PhoneNumber="+4712345678", Message="m")


def test_the_same_subscription_again_is_the_same_one(cloud: Cloud) -> None:
    first = subscribe(cloud, "email", "ops@example.com")
    assert subscribe(cloud, "email", "ops@example.com") == first
    with pytest.raises(AwsError, match="already exists with different attributes"):
        subscribe(cloud, "email", "ops@example.com", FilterPolicy='{"a":["b"]}')
    cloud.call("sns", "Unsubscribe", SubscriptionArn=first)
    attributes = cloud.call("sns", "GetTopicAttributes", TopicArn=TOPIC)["Attributes"]
    assert attributes["SubscriptionsConfirmed"] == "0"
    assert attributes["SubscriptionsDeleted"] == "1"


def test_who_listens_hears_what_a_topic_took(cloud: Cloud) -> None:
    heard: list[tuple[str, str]] = []
    cloud.sns.on_publish.append(lambda arn, message: heard.append((arn, message)))
    with pytest.raises(AwsError):
        cloud.call("sns", "Publish", TopicArn=TOPIC + "-not-there", Message="lost")
    publish(cloud, "worn")
    assert heard == [(TOPIC, "worn")]
    assert cloud.sns.idle()
