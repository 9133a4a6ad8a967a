"""A function that reads the stream: role, log group, event source mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from infra_cdk.config import METRIC_NAMESPACE, StageConfig
from infra_cdk.constructs.lake import MAPPING_FAILURES, Lake
from infra_cdk.constructs.log_groups import log_group
from infra_cdk.constructs.permissions import NEW_KEYS, Statement, service_role

TIMEOUTS = "Timeouts"
"""The metric of invocations that ran out of time, of all functions together."""


class StreamFunction(Construct):
    """One handler of the pipeline behind an event source mapping with partial batch answers."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: StageConfig,
        *,
        name: str,
        description: str,
        handler: str,
        code: s3_assets.Asset,
        stream: kinesis.Stream,
        window_s: float,
        lake: Lake,
        environment: Mapping[str, str],
        statements: Sequence[Statement],
        memory_mb: int,
        timeout_s: int,
    ) -> None:
        super().__init__(scope, construct_id)
        function_name = f"{config.prefix}-{name}"
        self.log_group = log_group(self, "Logs", config, f"/aws/lambda/{function_name}")
        # AWS/Lambda Errors does not tell a time-out from an exception.
        self.log_group.add_metric_filter(
            "Timeouts",
            filter_name=f"{function_name}-timeouts",
            filter_pattern=logs.FilterPattern.literal('"Task timed out after"'),
            metric_namespace=METRIC_NAMESPACE,
            metric_name=TIMEOUTS,
            metric_value="1",
            unit=cloudwatch.Unit.COUNT,
        )
        self.role = service_role(
            self,
            "Role",
            name=function_name,
            service="lambda.amazonaws.com",
            description=description,
            statements=[
                *_mapping_statements(stream, lake, self.log_group),
                *statements,
            ],
        )
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=function_name,
            description=description,
            runtime=lambda_.Runtime.PYTHON_3_11,
            architecture=lambda_.Architecture.X86_64,
            handler=handler,
            code=lambda_.Code.from_bucket_v2(code.bucket, code.s3_object_key),
            environment=dict(environment),
            memory_size=memory_mb,
            timeout=Duration.seconds(timeout_s),
            role=self.role,
            log_group=self.log_group,
        )
        # L1: the L2 event source would grant the role more than it needs.
        lambda_.CfnEventSourceMapping(
            self,
            "Mapping",
            event_source_arn=stream.stream_arn,
            function_name=self.function.function_name,
            starting_position="TRIM_HORIZON",
            batch_size=config.mapping_batch_size,
            maximum_batching_window_in_seconds=window_s,
            maximum_retry_attempts=config.mapping_retries,
            maximum_record_age_in_seconds=config.mapping_record_age_s,
            function_response_types=["ReportBatchItemFailures"],
            destination_config=lambda_.CfnEventSourceMapping.DestinationConfigProperty(
                on_failure=lambda_.CfnEventSourceMapping.OnFailureProperty(
                    destination=lake.raw.bucket_arn
                )
            ),
        )


def _mapping_statements(
    stream: kinesis.Stream, lake: Lake, log_group: logs.LogGroup
) -> list[Statement]:
    """Return what every function behind a mapping needs.

    Lambda reads the stream and writes failed batches with the function's role (Lambda
    Developer Guide, "Using Lambda with Kinesis", "Adding an on-failure destination").
    """
    return [
        Statement(
            "ReadStream",
            [
                "kinesis:DescribeStream",
                "kinesis:DescribeStreamSummary",
                "kinesis:GetRecords",
                "kinesis:GetShardIterator",
                "kinesis:ListShards",
            ],
            [stream.stream_arn],
        ),
        Statement("FindFailureBucket", ["s3:ListBucket"], [lake.raw.bucket_arn]),
        Statement(
            "KeepFailedBatches",
            ["s3:PutObject"],
            [lake.raw.arn_for_objects(MAPPING_FAILURES)],
            NEW_KEYS,
        ),
        Statement(
            "WriteLogs",
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            [log_group.log_group_arn],
        ),
    ]
