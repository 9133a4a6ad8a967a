"""The PySpark job that turns raw readings into features."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_glue as glue
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs import arns
from infra_cdk.constructs.assets import PipelineAssets
from infra_cdk.constructs.catalog import Catalog
from infra_cdk.constructs.lake import JOB_PREFIXES, MAINTENANCE_PREFIX, Lake
from infra_cdk.constructs.permissions import NEW_KEYS, NEW_LOG_STREAMS, Statement, service_role


class FeaturesJob(Construct):
    """Glue 5.1 (Spark 3.5.6, Python 3.11), two workers, one run at a time."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: StageConfig,
        *,
        assets: PipelineAssets,
        lake: Lake,
        catalog: Catalog,
        feature_spec: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self.role = service_role(
            self,
            "Role",
            name=f"{config.prefix}-features-job",
            service="glue.amazonaws.com",
            description="The features job reads the raw zone and writes the features",
            statements=_statements(assets, lake, catalog),
        )
        self.job = glue.CfnJob(
            self,
            "Job",
            name=f"{config.prefix}-features",
            description="Raw readings to features, by date and hour of the event",
            role=self.role.role_arn,
            command=glue.CfnJob.JobCommandProperty(
                name="glueetl",
                python_version="3",
                script_location=assets.features_job.s3_object_url,
            ),
            default_arguments={
                "--job-language": "python",
                "--extra-py-files": assets.pipeline.s3_object_url,
                # What the package needs and Glue does not bring.
                "--additional-python-modules": "orjson==3.13.0",
                "--raw_bucket": lake.raw.bucket_name,
                "--processed_bucket": lake.processed.bucket_name,
                "--database": catalog.database.database_name,
                "--table": catalog.features.table_name,
                "--feature_spec": feature_spec,
                "--extra_features": config.extra_features,
                "--quality_rules": config.quality_rules,
                "--baseline": "baselines/features.json",
            },
            # Pinned: a job without a version gets the newest one.
            glue_version="5.1",
            worker_type="G.1X",
            number_of_workers=2,
            timeout=Duration.hours(2).to_minutes(),
            max_retries=0,
            execution_property=glue.CfnJob.ExecutionPropertyProperty(max_concurrent_runs=1),
        )
        self.name = self.job.ref


def _statements(assets: PipelineAssets, lake: Lake, catalog: Catalog) -> list[Statement]:
    code = assets.features_job.bucket
    database = catalog.database.database_name
    return [
        Statement(
            "ReadCode",
            ["s3:GetObject"],
            [code.arn_for_objects("*")],
            "The script and the package are stored under the hash of their contents",
        ),
        Statement(
            "ReadReadings",
            ["s3:GetObject"],
            [
                lake.raw.arn_for_objects(prefix)
                for prefix in ("telemetry/*", "bursts/*", MAINTENANCE_PREFIX)
            ],
            NEW_KEYS,
        ),
        Statement("ListLake", ["s3:ListBucket"], [lake.raw.bucket_arn, lake.processed.bucket_arn]),
        Statement(
            "WriteFeatures",
            # Spark's committer renames: it reads and deletes what it wrote.
            ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            [lake.processed.arn_for_objects(prefix) for prefix in JOB_PREFIXES],
            NEW_KEYS,
        ),
        Statement(
            "RegisterPartitions",
            # A sensor that is new in the feature spec is a new column.
            ["glue:GetTable", "glue:UpdateTable", "glue:BatchCreatePartition"],
            [
                arns.regional("glue", "catalog"),
                arns.regional("glue", f"database/{database}"),
                arns.regional("glue", f"table/{database}/{catalog.features.table_name}"),
            ],
        ),
        Statement(
            "WriteLogs",
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            [arns.regional("logs", "log-group:/aws-glue/jobs/*")],
            NEW_LOG_STREAMS,
        ),
    ]
