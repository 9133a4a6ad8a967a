"""The PySpark job that turns raw readings into features."""

from __future__ import annotations

from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs.assets import PipelineAssets
from infra_cdk.constructs.catalog import Catalog
from infra_cdk.constructs.glue_jobs import (
    glue_job,
    reads_code,
    registers_partitions,
    uses_governed_table,
    writes_job_logs,
)
from infra_cdk.constructs.lake import JOB_PREFIXES, MAINTENANCE_PREFIX, Lake
from infra_cdk.constructs.permissions import NEW_KEYS, Statement, service_role


class FeaturesJob(Construct):
    """The job and its role."""

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
        extra_features: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self.role = service_role(
            self,
            "Role",
            name=f"{config.prefix}-features-job",
            service="glue.amazonaws.com",
            description="The features job reads the raw zone and writes the features",
            statements=_statements(config, assets, lake, catalog),
        )
        self.job = glue_job(
            self,
            config,
            name=f"{config.prefix}-features",
            description="Raw readings to features, by date and hour of the event",
            role=self.role,
            script=assets.features_job,
            assets=assets,
            arguments={
                "--raw_bucket": lake.raw.bucket_name,
                "--processed_bucket": lake.processed.bucket_name,
                "--database": catalog.database.database_name,
                "--table": catalog.features.table_name,
                "--feature_spec": feature_spec,
                "--extra_features": extra_features,
                "--quality_rules": config.quality_rules,
                "--baseline": "baselines/features.json",
            },
        )
        self.name = self.job.ref


def _statements(
    config: StageConfig, assets: PipelineAssets, lake: Lake, catalog: Catalog
) -> list[Statement]:
    return [
        reads_code(assets.features_job),
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
        # A sensor that is new in the feature spec is a new column.
        registers_partitions(catalog, catalog.features.table_name, "glue:UpdateTable"),
        *([uses_governed_table()] if config.is_lake_governed else []),
        writes_job_logs(config),
    ]
