"""The alarms: what keeps readings from becoming detections, each told to the alert topic.

Each has a page in `docs/runbooks`, which its description names. The composite alarm says whether
readings become detections at all; it tells nobody, its parts already have.
"""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra_cdk.config import METRIC_NAMESPACE, StageConfig
from infra_cdk.constructs.stream_function import StreamFunction

PERIOD = Duration.minutes(1)

ENDPOINT_ERRORS = "endpoint-errors"
ENDPOINT_LATENCY = "endpoint-slow"
"""The alarms that roll a canary back."""
VARIANT = "detector"


class Alarms(Construct):
    """Alarms on one-minute periods; no data is good news."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: StageConfig,
        *,
        topic: sns.Topic,
        stream: kinesis.Stream,
        functions: Mapping[str, StreamFunction],
        machine: sfn.StateMachine,
        kept: sqs.Queue,
    ) -> None:
        super().__init__(scope, construct_id)
        self._config = config
        self._action = actions.SnsAction(topic)
        self.all: list[cloudwatch.Alarm] = []
        path = [self._stream_alarm(stream)]
        for name, function in functions.items():
            path += self._function_alarms(name, function)
        path.append(self._lag_alarm())
        self._message_alarms(topic, kept)
        self._endpoint_alarms()
        self._training_alarms(machine)
        self.composite = cloudwatch.CompositeAlarm(
            self,
            "ReadingsHeldUp",
            composite_alarm_name=f"{config.prefix}-readings-held-up",
            alarm_description=_described(
                "readings-held-up", "Readings do not become detections in time"
            ),
            alarm_rule=cloudwatch.AlarmRule.any_of(
                *(
                    cloudwatch.AlarmRule.from_alarm(alarm, cloudwatch.AlarmState.ALARM)
                    for alarm in path
                )
            ),
        )

    def _stream_alarm(self, stream: kinesis.Stream) -> cloudwatch.Alarm:
        return self._alarm(
            "stream-throttled",
            "The stream refuses records: more shards, or fewer readings",
            _metric(
                "AWS/Kinesis",
                "WriteProvisionedThroughputExceeded",
                {"StreamName": stream.stream_name},
            ),
        )

    def _function_alarms(self, name: str, function: StreamFunction) -> list[cloudwatch.Alarm]:
        dimensions = {"FunctionName": function.function.function_name}
        return [
            self._alarm(
                f"{name}-errors",
                f"Invocations of the {name} fail; its batches are tried again",
                _metric("AWS/Lambda", "Errors", dimensions),
            ),
            self._alarm(
                f"{name}-behind",
                f"The {name} reads records later than it should",
                _metric("AWS/Lambda", "IteratorAge", dimensions, statistic="Maximum"),
                threshold=self._config.iterator_age_alarm_ms,
            ),
        ]

    def _lag_alarm(self) -> cloudwatch.Alarm:
        return self._alarm(
            "features-lag",
            "The newest feature row is long after the newest reading, three minutes in a row",
            _metric(METRIC_NAMESPACE, "FeatureLag", statistic="Minimum"),
            threshold=self._config.feature_lag_alarm_ms,
            periods=3,
        )

    def _message_alarms(self, topic: sns.Topic, kept: sqs.Queue) -> None:
        self._alarm(
            "dead-letters",
            "Messages were refused; they are under dead-letter/ of the raw bucket",
            _metric(METRIC_NAMESPACE, "DeadLettered"),
        )
        self._alarm(
            "records-kept",
            "Messages or batches were given up and lie in the raw bucket",
            _metric(
                "AWS/SQS",
                "ApproximateNumberOfMessagesVisible",
                {"QueueName": kept.queue_name},
                statistic="Maximum",
            ),
        )
        self._alarm(
            "readings-late",
            "Many readings came too late to count in features",
            _metric(METRIC_NAMESPACE, "Late"),
            threshold=self._config.late_alarm_count,
        )
        self._alarm(
            "alerts-undelivered",
            "A subscriber of the alert topic did not get a message",
            _metric("AWS/SNS", "NumberOfNotificationsFailed", {"TopicName": topic.topic_name}),
        )

    def _endpoint_alarms(self) -> None:
        variant = {"EndpointName": self._config.endpoint_name, "VariantName": VARIANT}
        self._alarm(
            ENDPOINT_ERRORS,
            "The endpoint's container fails; a new model is rolled back",
            _metric("AWS/SageMaker", "Invocation5XXErrors", variant),
        )
        self._alarm(
            ENDPOINT_LATENCY,
            "The endpoint answers late; a new model is rolled back",
            _metric("AWS/SageMaker", "ModelLatency", variant, statistic="Average"),
            threshold=self._config.latency_alarm_us,
        )

    def _training_alarms(self, machine: sfn.StateMachine) -> None:
        # States to look at, without a message: each such end is told by `WorkflowAlerts`.
        workflow = {"StateMachineArn": machine.state_machine_arn}
        self._alarm(
            "training-failed",
            "An execution of the training workflow failed",
            _metric("AWS/States", "ExecutionsFailed", workflow),
            tells=False,
        )
        self._alarm(
            "training-timed-out",
            "An execution of the training workflow took too long",
            _metric("AWS/States", "ExecutionsTimedOut", workflow),
            tells=False,
        )

    def _alarm(
        self,
        name: str,
        description: str,
        metric: cloudwatch.Metric,
        threshold: float = 1,
        periods: int = 1,
        *,
        tells: bool = True,
    ) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            "".join(word.capitalize() for word in name.split("-")),
            alarm_name=f"{self._config.prefix}-{name}",
            alarm_description=_described(name, description),
            metric=metric,
            threshold=threshold,
            comparison_operator=(cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD),
            evaluation_periods=periods,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        if tells:
            alarm.add_alarm_action(self._action)
        self.all.append(alarm)
        return alarm


def _described(name: str, description: str) -> str:
    return f"{description}. What to do: docs/runbooks/{name}.md"


def _metric(
    namespace: str,
    name: str,
    dimensions: Mapping[str, str] | None = None,
    statistic: str = "Sum",
) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        dimensions_map=dimensions,
        statistic=statistic,
        period=PERIOD,
    )
