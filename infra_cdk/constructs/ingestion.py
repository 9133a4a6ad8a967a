"""The two functions of the stream: the raw writer and the detector."""

from __future__ import annotations

from aws_cdk import aws_sns as sns
from constructs import Construct

from infra_cdk.config import METRIC_NAMESPACE, StageConfig
from infra_cdk.constructs import arns
from infra_cdk.constructs.assets import PipelineAssets
from infra_cdk.constructs.lake import RAW_PREFIXES, SCORES_PREFIX, Lake
from infra_cdk.constructs.permissions import NEW_KEYS, Statement
from infra_cdk.constructs.stream import Stream
from infra_cdk.constructs.stream_function import StreamFunction
from infra_cdk.constructs.tables import Tables
from pipeline import settings

# TransactWriteItems is authorised as the operations that it holds (DynamoDB Developer Guide,
# "Using IAM with DynamoDB transactions").
STATE_ACTIONS = ("dynamodb:BatchGetItem", "dynamodb:PutItem")


class RawWriter(StreamFunction):
    """Validates, removes duplicates and writes the raw zone."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: StageConfig,
        *,
        assets: PipelineAssets,
        stream: Stream,
        lake: Lake,
        tables: Tables,
        feature_spec: str,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            config,
            name="raw-writer",
            description="Writes readings, each once, and dead letters to the raw zone",
            handler="pipeline.ingestion.raw_writer.handler",
            code=assets.function,
            stream=stream.stream,
            window_s=stream.window_s,
            lake=lake,
            memory_mb=1024,
            timeout_s=60,
            environment={
                settings.RAW_BUCKET: lake.raw.bucket_name,
                settings.STATE_TABLE: tables.state.table_name,
                settings.FEATURE_SPEC: feature_spec,
                settings.MAX_FUTURE_S: str(config.max_future_s),
                settings.METRIC_NAMESPACE: METRIC_NAMESPACE,
            },
            statements=[
                Statement(
                    "WriteRawZone",
                    ["s3:PutObject"],
                    [lake.raw.arn_for_objects(prefix) for prefix in RAW_PREFIXES],
                    NEW_KEYS,
                ),
                Statement("KeepState", STATE_ACTIONS, [tables.state.table_arn]),
            ],
        )


class Detector(StreamFunction):
    """Computes features, asks the endpoint, keeps episodes and sends alerts."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: StageConfig,
        *,
        assets: PipelineAssets,
        stream: Stream,
        lake: Lake,
        tables: Tables,
        topic: sns.Topic,
        feature_spec: str,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            config,
            name="detector",
            description="Scores finished feature rows and alerts once an episode",
            handler="pipeline.detection.detector.handler",
            code=assets.function,
            stream=stream.stream,
            window_s=stream.window_s,
            lake=lake,
            memory_mb=1024,
            timeout_s=120,
            environment={
                settings.STATE_TABLE: tables.state.table_name,
                settings.DETECTIONS_TABLE: tables.detections.table_name,
                settings.ENDPOINT_NAME: config.endpoint_name,
                settings.PROCESSED_BUCKET: lake.processed.bucket_name,
                settings.ALERT_TOPIC_ARN: topic.topic_arn,
                settings.FEATURE_SPEC: feature_spec,
                settings.MAX_FUTURE_S: str(config.max_future_s),
                settings.METRIC_NAMESPACE: METRIC_NAMESPACE,
            },
            statements=[
                Statement("KeepState", STATE_ACTIONS, [tables.state.table_arn]),
                Statement(
                    "KeepDetections",
                    ["dynamodb:PutItem", "dynamodb:UpdateItem"],
                    [tables.detections.table_arn],
                ),
                Statement(
                    "Score",
                    ["sagemaker:InvokeEndpoint"],
                    [arns.sagemaker(f"endpoint/{config.endpoint_name}")],
                ),
                Statement(
                    "KeepScores",
                    ["s3:PutObject"],
                    [lake.processed.arn_for_objects(SCORES_PREFIX)],
                    NEW_KEYS,
                ),
                Statement("Alert", ["sns:Publish"], [topic.topic_arn]),
            ],
        )
