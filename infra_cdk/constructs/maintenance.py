"""Work orders: from the maintenance system's file server to the lake, by DataSync every hour.

Only where the stack is told of a server: an account without one has nothing to activate an agent
for.
"""

from __future__ import annotations

from aws_cdk import CfnCondition, CfnParameter, CfnResource, Fn
from aws_cdk import aws_datasync as datasync
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs.lake import MAINTENANCE_PREFIX, Lake
from infra_cdk.constructs.permissions import NEW_KEYS, Statement, service_role

FOLDER = MAINTENANCE_PREFIX.removesuffix("/*")


class MaintenanceLog(Construct):
    """A task that moves what is new or has changed in the server's folder, verified."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: StageConfig,
        *,
        lake: Lake,
        server: CfnParameter,
        activation_key: CfnParameter,
    ) -> None:
        super().__init__(scope, construct_id)
        is_there = CfnCondition(
            self,
            "HasServer",
            expression=Fn.condition_not(Fn.condition_equals(server.value_as_string, "")),
        )
        role = service_role(
            self,
            "Role",
            name=f"{config.prefix}-maintenance-transfer",
            service="datasync.amazonaws.com",
            description="DataSync brings the work orders into the raw zone",
            statements=[
                Statement("ListLake", ["s3:ListBucket"], [lake.raw.bucket_arn]),
                Statement(
                    "WriteWorkOrders",
                    ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
                    [lake.raw.arn_for_objects(MAINTENANCE_PREFIX)],
                    NEW_KEYS,
                ),
            ],
        )
        agent = datasync.CfnAgent(
            self,
            "Agent",
            agent_name=f"{config.prefix}-plant",
            activation_key=activation_key.value_as_string,
        )
        source = datasync.CfnLocationNFS(
            self,
            "Server",
            server_hostname=server.value_as_string,
            subdirectory=f"/{FOLDER}",
            on_prem_config=datasync.CfnLocationNFS.OnPremConfigProperty(
                agent_arns=[agent.attr_agent_arn]
            ),
        )
        target = datasync.CfnLocationS3(
            self,
            "Lake",
            s3_bucket_arn=lake.raw.bucket_arn,
            subdirectory=f"/{FOLDER}",
            s3_config=datasync.CfnLocationS3.S3ConfigProperty(bucket_access_role_arn=role.role_arn),
        )
        task = datasync.CfnTask(
            self,
            "Task",
            name=f"{config.prefix}-maintenance",
            source_location_arn=source.attr_location_arn,
            destination_location_arn=target.attr_location_arn,
            options=datasync.CfnTask.OptionsProperty(
                transfer_mode="CHANGED",
                verify_mode="ONLY_FILES_TRANSFERRED",
                # A day's file is complete when the day is over, and replaced until then.
                overwrite_mode="ALWAYS",
                preserve_deleted_files="PRESERVE",
            ),
            # A file that is still being written has another name.
            excludes=[
                datasync.CfnTask.FilterRuleProperty(filter_type="SIMPLE_PATTERN", value="*.partial")
            ],
            schedule=datasync.CfnTask.TaskScheduleProperty(
                schedule_expression=config.maintenance_schedule
            ),
        )
        optional: list[CfnResource] = [agent, source, target, task]
        cfn_role = role.node.default_child
        assert isinstance(cfn_role, iam.CfnRole)
        for resource in (*optional, cfn_role):
            resource.cfn_options.condition = is_there
