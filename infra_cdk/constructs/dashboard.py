"""The dashboard: how readings go through the pipeline, from the stream to the alert."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra_cdk.config import METRIC_NAMESPACE, StageConfig
from infra_cdk.constructs.alarms import VARIANT, Alarms
from infra_cdk.constructs.stream_function import TIMEOUTS, StreamFunction

WIDTH, HEIGHT = 12, 6
"""Two graphs a row of 24 columns."""


class Dashboard(Construct):
    """One dashboard of the stage; the alarms' states come first."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: StageConfig,
        *,
        alarms: Alarms,
        topic: sns.Topic,
        stream: kinesis.Stream,
        functions: Mapping[str, StreamFunction],
    ) -> None:
        super().__init__(scope, construct_id)
        dashboard = cloudwatch.Dashboard(
            self, "Dashboard", dashboard_name=f"{config.prefix}-pipeline"
        )
        dashboard.add_widgets(
            cloudwatch.AlarmStatusWidget(
                title="Alarms", alarms=[alarms.composite, *alarms.all], width=2 * WIDTH, height=4
            )
        )
        ages = [
            _metric(
                "AWS/Lambda", "IteratorAge", "Maximum", name, FunctionName=function.function_name
            )
            for name, function in ((n, f.function) for n, f in functions.items())
        ]
        variant = {"EndpointName": config.endpoint_name, "VariantName": VARIANT}
        named = {"StreamName": stream.stream_name}
        judged = {
            "Endpoint": config.endpoint_name,
            "MonitoringSchedule": f"{config.prefix}-monitoring",
        }
        graphs = {
            "Readings a minute": [
                _metric("AWS/Kinesis", "IncomingRecords", "Sum", "into the stream", **named),
                _own("Stored", "Sum", "stored"),
            ],
            "Refused, late, repeated": [
                _own("DeadLettered", "Sum", "dead letters"),
                _own("Late", "Sum", "late"),
                _own("Duplicates", "Sum", "repeated"),
            ],
            "Age of what functions read (ms)": ages,
            "From event to arrival, from arrival to row (ms)": [
                _own("ArrivalDelay", "Maximum", "longest arrival"),
                _own("FeatureLag", "Maximum", "feature lag"),
            ],
            "Errors and time-outs of functions": [
                *(
                    _metric(
                        "AWS/Lambda", "Errors", "Sum", name, FunctionName=f.function.function_name
                    )
                    for name, f in functions.items()
                ),
                _own(TIMEOUTS, "Sum", "time-outs"),
            ],
            "Inference (microseconds)": [
                _metric("AWS/SageMaker", "ModelLatency", "Average", "model latency", **variant),
            ],
            "Highest anomaly score (thresholds)": [_own("MaxScore", "Maximum", "score")],
            "Detections and alerts": [
                _own("EpisodesOpened", "Sum", "episodes"),
                _own("AlertsSent", "Sum", "alerts"),
            ],
            "Drift of the fleet, by judged window": [
                _metric(METRIC_NAMESPACE, name, "Maximum", words, **judged)
                for name, words in (
                    ("drifted_features", "features that drifted"),
                    ("violations", "violations"),
                )
            ],
            "Messages of the alert topic": [
                _metric("AWS/SNS", name, "Sum", words, TopicName=topic.topic_name)
                for name, words in (
                    ("NumberOfNotificationsDelivered", "delivered"),
                    ("NumberOfNotificationsFailed", "failed"),
                )
            ],
        }
        widgets = [
            cloudwatch.GraphWidget(title=title, left=metrics, width=WIDTH, height=HEIGHT)
            for title, metrics in graphs.items()
        ]
        for first in range(0, len(widgets), 2):
            dashboard.add_widgets(*widgets[first : first + 2])


def _own(name: str, statistic: str, label: str) -> cloudwatch.Metric:
    return _metric(METRIC_NAMESPACE, name, statistic, label)


def _metric(
    namespace: str, name: str, statistic: str, label: str, **dimensions: str
) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        dimensions_map=dimensions or None,
        statistic=statistic,
        label=label,
        period=Duration.minutes(1),
    )
