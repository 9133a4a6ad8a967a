"""Delivers messages of topics: to queues, functions, loopback HTTP and mail files, with retries.

Called by `sns.Sns`. Deliveries wait on the run's clock. SQS and Lambda are called in the name of
``sns.amazonaws.com``, so the queue's or function's policy decides; what they refuse is not tried
again but goes to the subscription's dead-letter queue. An HTTP endpoint is asked on a thread of
its own while the clock stands: how quick it is decides nothing.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import simpy

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Principal
from simulator.cloud.sns_mail import Mailbox
from simulator.cloud.sns_messages import MAX_RAW_ATTRIBUTES, Message
from simulator.cloud.sns_retries import http_delays_s, policy_of, service_delays_s
from simulator.cloud.sns_topics import Subscription

SERVICE = "sns.amazonaws.com"
DELIVERY_S = 0.03
"""Modelled time from Publish to the first attempt: "typically under 30 ms" (SNS FAQ)."""
HTTP_TIMEOUT_S = 15.0
"""How long an endpoint may take (developer guide, "HTTP/HTTPS endpoints"); of real time."""
_THROTTLED = ("Throttling", "ThrottlingException", "TooManyRequestsException", "RequestThrottled")


class Failed(Exception):
    """One attempt that failed; ``again``: whether another may succeed."""

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.again = again


@dataclass(frozen=True)
class Post:
    """One HTTP request to an endpoint."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class Delivery:
    """The deliveries of one account. ``in_flight`` counts first attempts that are still to come."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._mailbox = Mailbox(context.state / "mail")
        self._posts = 0
        self.in_flight = 0

    def start(self, subscription: Subscription, message: Message) -> None:
        """Deliver a message to a subscription that takes it."""
        self.in_flight += 1
        self._context.engine.process(self._deliver(subscription, message))

    def invite(self, subscription: Subscription, token: str, confirm_url: str) -> None:
        """Ask an HTTP endpoint to confirm its subscription; it is asked once."""
        members = {
            "Type": "SubscriptionConfirmation",
            "MessageId": self._context.engine.new_id(),
            "Token": token,
            "TopicArn": subscription.topic.arn,
            "Message": f"You have chosen to subscribe to the topic {subscription.topic.arn}.\n"
            "To confirm the subscription, visit the SubscribeURL included in this message.",
            "SubscribeURL": confirm_url,
            "Timestamp": timestamp(self._context),
            "SignatureVersion": "1",
        }
        post = _post(subscription, "SubscriptionConfirmation", members, raw=False)
        self._context.engine.process(self._invite(post))

    def _invite(self, post: Post) -> Generator[simpy.Event, Any, None]:
        yield self._context.engine.env.timeout(DELIVERY_S)
        yield from self._ask(post)

    def mail_confirmation(self, subscription: Subscription) -> None:
        """Write the mail that tells an address of its subscription."""
        self._mailbox.write(
            subscription.endpoint,
            "AWS Notification - Subscription Confirmation",
            f"{subscription.endpoint} is subscribed to the topic\n{subscription.topic.arn}\n",
            self._context.engine.now(),
            self._context.engine.new_id(),
        )

    # -- one delivery

    def _deliver(
        self, subscription: Subscription, message: Message
    ) -> Generator[simpy.Event, Any, None]:
        env = self._context.engine.env
        message = message.for_protocol(subscription.protocol)
        yield env.timeout(DELIVERY_S)
        delays = self._delays(subscription)
        is_first = True
        while True:
            try:
                yield from self._attempt(subscription, message)
            except Failed as failed:
                delay_s = next(delays, None) if failed.again else None
            else:
                self._count("NumberOfNotificationsDelivered", subscription)
                return
            finally:
                self.in_flight -= is_first
                is_first = False
            if delay_s is None:
                break
            yield env.timeout(delay_s)
        self._count("NumberOfNotificationsFailed", subscription)
        self._bury(subscription, message)

    def _delays(self, subscription: Subscription) -> Iterator[float]:
        if subscription.protocol not in ("http", "https"):
            return service_delays_s()
        own = policy_of(subscription.attributes.get("DeliveryPolicy"))
        return http_delays_s(own or policy_of(subscription.topic.attributes.get("DeliveryPolicy")))

    def _attempt(
        self, subscription: Subscription, message: Message
    ) -> Generator[simpy.Event, Any, None]:
        protocol = subscription.protocol
        envelope = message.envelope(subscription.arn, self._base_url())
        if protocol == "sqs":
            if subscription.is_raw and len(message.attributes) > MAX_RAW_ATTRIBUTES:
                raise Failed("more attributes than SQS takes", again=False)
            request = self._send(subscription, message, envelope)
            yield from self._call("sqs", "SendMessage", request, subscription)
        elif protocol == "lambda":
            event = message.lambda_event(subscription.arn, self._base_url())
            request = {
                "FunctionName": subscription.endpoint,
                "InvocationType": "Event",
                "Payload": json.dumps(event).encode(),
            }
            yield from self._call("lambda", "Invoke", request, subscription)
        elif protocol in ("email", "email-json"):
            text = json.dumps(envelope, indent=2) if protocol == "email-json" else message.text
            self._mailbox.write(
                subscription.endpoint,
                message.subject or "AWS Notification Message",
                text,
                self._context.engine.now(),
                message.message_id,
            )
        else:
            body: Any = message.text if subscription.is_raw else envelope
            post = _post(subscription, "Notification", body, raw=subscription.is_raw)
            status = yield from self._ask(post)
            if not 200 <= status < 300:
                again = status >= 500 or status in (0, 429)
                raise Failed(f"the endpoint answered {status}", again=again)

    def _send(
        self, subscription: Subscription, message: Message, envelope: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the parameters of SendMessage to the queue that subscribes."""
        request = self._to_queue(subscription.endpoint)
        if not subscription.is_raw:
            return {**request, "MessageBody": json.dumps(envelope, indent=2)}
        attributes = {name: dict(given) for name, given in message.attributes.items()}
        shown = {"MessageAttributes": attributes} if attributes else {}
        return {**request, "MessageBody": message.text, **shown}

    def _to_queue(self, arn: str) -> dict[str, Any]:
        account, name = arn.split(":")[-2:]
        return {"QueueUrl": f"{self._base_url()}/{account}/{name}"}

    def _call(
        self,
        service: str,
        operation: str,
        params: dict[str, Any],
        subscription: Subscription,
    ) -> Generator[simpy.Event, Any, None]:
        try:
            answer = self._context.dispatch(self._caller(subscription), service, operation, params)
            if isinstance(answer, simpy.Event):
                yield answer
        except AwsError as error:
            again = error.status >= 500 or error.code in _THROTTLED
            raise Failed(str(error), again=again) from error

    def _caller(self, subscription: Subscription) -> Principal:
        return self._context.iam.service_principal(SERVICE, subscription.topic.arn)

    def _bury(self, subscription: Subscription, message: Message) -> None:
        """Put what could not be delivered on the dead-letter queue, in the form it would have."""
        queue = subscription.dead_letter_arn
        if queue is None:
            return
        envelope = message.envelope(subscription.arn, self._base_url())
        body = message.text if subscription.is_raw else json.dumps(envelope, indent=2)
        request = {**self._to_queue(queue), "MessageBody": body}
        if subscription.is_raw and message.attributes:
            first = list(message.attributes.items())[:MAX_RAW_ATTRIBUTES]
            request["MessageAttributes"] = {name: dict(given) for name, given in first}
        try:
            self._context.dispatch(self._caller(subscription), "sqs", "SendMessage", request)
        except AwsError:
            self._count("NumberOfNotificationsFailedToRedriveToDlq", subscription)
        else:
            self._count("NumberOfNotificationsRedrivenToDlq", subscription)

    # -- HTTP

    def _ask(self, post: Post) -> Generator[simpy.Event, Any, int]:
        """Send a request while the clock stands; return the status, 0 when there was no answer."""
        engine = self._context.engine
        self._posts += 1
        worker, done = f"sns-http-{self._posts}", engine.env.event()
        engine.begin_computing(worker)

        def answered(status: int) -> None:
            engine.end_computing(worker)
            done.succeed(status)

        def ask() -> None:
            status = _status_of(post)
            engine.post(lambda: answered(status))

        threading.Thread(target=ask, name=worker, daemon=True).start()
        status: int = yield done
        return status

    def _base_url(self) -> str:
        return self._context.gateway_url or "http://127.0.0.1"

    def _count(self, name: str, subscription: Subscription) -> None:
        dimensions = {"TopicName": subscription.topic.name}
        self._context.cloudwatch.record("AWS/SNS", name, dimensions, 1.0, "Count")


def timestamp(context: Context) -> str:
    """Return the run's time as SNS writes it, with milliseconds."""
    return context.engine.now().strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _post(subscription: Subscription, kind: str, body: Any, *, raw: bool) -> Post:
    text = body if raw else json.dumps(body, indent=2)
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "Amazon Simple Notification Service Agent",
        "x-amz-sns-message-type": kind,
        "x-amz-sns-topic-arn": subscription.topic.arn,
        **({} if raw else {"x-amz-sns-message-id": body["MessageId"]}),
        **({} if kind != "Notification" else {"x-amz-sns-subscription-arn": subscription.arn}),
        **({"x-amz-sns-rawdelivery": "true"} if raw else {}),
    }
    return Post(subscription.endpoint, headers, text.encode())


def _status_of(post: Post) -> int:
    target = urlsplit(post.url)
    kind = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
    connection = kind(str(target.hostname), target.port, timeout=HTTP_TIMEOUT_S)
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    try:
        connection.request("POST", path, body=post.body, headers=dict(post.headers))
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
