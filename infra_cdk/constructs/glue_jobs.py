"""A Glue job of the package: what all of them have in common, and what their roles begin with."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk.aws_s3_assets import Asset
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs import arns
from infra_cdk.constructs.assets import PipelineAssets
from infra_cdk.constructs.catalog import Catalog
from infra_cdk.constructs.log_groups import glue_log_prefix
from infra_cdk.constructs.permissions import NEW_LOG_STREAMS, Statement


def glue_job(
    scope: Construct,
    config: StageConfig,
    *,
    name: str,
    description: str,
    role: iam.Role,
    script: Asset,
    assets: PipelineAssets,
    arguments: Mapping[str, str],
) -> glue.CfnJob:
    """Return a job on Glue 5.1 (Spark 3.5.6, Python 3.11), two workers, one run at a time."""
    return glue.CfnJob(
        scope,
        "Job",
        name=name,
        description=description,
        role=role.role_arn,
        command=glue.CfnJob.JobCommandProperty(
            # Also where no Spark is needed: a Python shell ends at Python 3.9.
            name="glueetl",
            python_version="3",
            script_location=script.s3_object_url,
        ),
        default_arguments={
            "--job-language": "python",
            "--extra-py-files": assets.pipeline.s3_object_url,
            # What the package needs and Glue does not bring.
            "--additional-python-modules": "orjson==3.13.0",
            # From Glue 5.0 on; the default groups are those of all jobs of the account.
            "--custom-logGroup-prefix": glue_log_prefix(config),
            **arguments,
        },
        # Pinned: a job without a version gets the newest one.
        glue_version="5.1",
        worker_type="G.1X",
        number_of_workers=2,
        timeout=Duration.hours(2).to_minutes(),
        max_retries=0,
        execution_property=glue.CfnJob.ExecutionPropertyProperty(max_concurrent_runs=1),
    )


def reads_code(script: Asset) -> Statement:
    """Return what a job needs to load its script and the package."""
    return Statement(
        "ReadCode",
        ["s3:GetObject"],
        [script.bucket.arn_for_objects("*")],
        "The script and the package are stored under the hash of their contents",
    )


def writes_job_logs(config: StageConfig) -> Statement:
    """Return what a job needs to write its log."""
    return Statement(
        "WriteLogs",
        ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
        [arns.regional("logs", f"log-group:{glue_log_prefix(config)}/*")],
        NEW_LOG_STREAMS,
    )


def uses_governed_table() -> Statement:
    """Return what a job needs to use a table that Lake Formation has granted it."""
    return Statement(
        "UseGovernedTable",
        ["lakeformation:GetDataAccess"],
        ["*"],
        "Lake Formation decides about the table: the action knows no resource",
    )


def registers_partitions(catalog: Catalog, table: str, *more: str) -> Statement:
    """Return what a job needs to add partitions to a table, and ``more`` actions on it."""
    database = catalog.database.database_name
    return Statement(
        "RegisterPartitions",
        ["glue:GetTable", *more, "glue:BatchCreatePartition"],
        [
            arns.regional("glue", "catalog"),
            arns.regional("glue", f"database/{database}"),
            arns.regional("glue", f"table/{database}/{table}"),
        ],
    )
