"""Lake Formation on the lake: who administers it, what is registered, LF-tags and grants.

Everything follows the settings in one chain of dependencies: Lake Formation takes changes of one
account one after the other, and CloudFormation takes a grant that is made beside another for one
that exists already (aws-cloudformation/cloudformation-coverage-roadmap, issue 2500).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Aws, CfnCondition, CfnParameter, CfnResource, DefaultStackSynthesizer, Fn
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lakeformation as lakeformation
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs.catalog import Catalog
from infra_cdk.constructs.lake import (
    BATCH_SCORES_PREFIX,
    FEATURES_PREFIX,
    SCORES_PREFIX,
    Lake,
)
from infra_cdk.constructs.parameters import keep_name
from infra_cdk.constructs.permissions import NEW_KEYS, Statement, service_role

TABLE_PREFIXES = (FEATURES_PREFIX, BATCH_SCORES_PREFIX, SCORES_PREFIX)
"""Folders of the processed zone with a table over them."""
TAGS = {
    "zone": ("raw", "processed"),
    "audience": ("pipeline", "reports"),
    "sensitivity": ("internal", "personal"),
}
"""LF-tags by name, which the stage's prefix precedes: tags are the account's, not a stack's."""
PERSONAL_COLUMNS = ("crew", "text")
"""Of the work orders: who did the work, and what people wrote of it."""

_Association = lakeformation.CfnTagAssociation
_Permissions = lakeformation.CfnPrincipalPermissions


class Governance(Construct):
    """Settings, a registered location, tags and grants; nothing is open to IAM alone.

    Grants are for those who ask the catalog; a role that only reads or writes objects has IAM's
    rights on them, which Lake Formation does not restrict (docs/lake.md).
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        config: StageConfig,
        *,
        lake: Lake,
        catalog: Catalog,
        features_role: iam.Role,
        scores_role: iam.Role,
        reader: str,
        has_reader: CfnCondition,
    ) -> None:
        super().__init__(scope, construct_id)
        self._config = config
        self._database = catalog.database.database_name
        self._last: CfnResource = self._settings()
        # What is created before the settings is open to IAM, and stays so.
        catalog.database.node.add_dependency(self._last)
        self._register(lake)
        self._tag(catalog)
        self._grant_job("Features", features_role, catalog.features, ("ALTER", "INSERT", "SELECT"))
        self._grant_job("Scores", scores_role, catalog.scores, ("INSERT",))
        self._grant_reader(reader, has_reader)

    def _in_turn(self, resource: CfnResource) -> CfnResource:
        resource.add_resource_dependency(self._last)
        self._last = resource
        return resource

    # -- settings and locations

    def _settings(self) -> lakeformation.CfnDataLakeSettings:
        """Make whoever deploys an administrator, who may grant, and a person's role if named."""
        parameter = CfnParameter(
            self,
            "LakeAdministrator",
            type="String",
            default="",
            description="ARN of a role that administers the data lake beside CloudFormation's",
        )
        keep_name(parameter)
        is_named = CfnCondition(
            self,
            "Administered",
            expression=Fn.condition_not(Fn.condition_equals(parameter.value_as_string, "")),
        )
        qualifier = DefaultStackSynthesizer.DEFAULT_QUALIFIER
        deployer = f"role/cdk-{qualifier}-cfn-exec-role-{Aws.ACCOUNT_ID}-{Aws.REGION}"
        settings = lakeformation.CfnDataLakeSettings(
            self,
            "Settings",
            create_database_default_permissions=[],
            create_table_default_permissions=[],
            # Appending would leave the defaults that open everything to IAM.
            mutation_type="REPLACE",
        )
        settings.add_property_override(
            "Admins",
            [
                {
                    "DataLakePrincipalIdentifier": f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:"
                    + deployer
                },
                Fn.condition_if(
                    is_named.logical_id,
                    {"DataLakePrincipalIdentifier": parameter.value_as_string},
                    {"Ref": "AWS::NoValue"},
                ),
            ],
        )
        return settings

    def _register(self, lake: Lake) -> None:
        """Register the processed zone; its role may read the tables' objects, for queries.

        Not write them: the jobs do that with rights of their own.
        """
        bucket = lake.processed
        role = service_role(
            self,
            "Role",
            name=f"{self._config.prefix}-lake-formation",
            service="lakeformation.amazonaws.com",
            description="Lake Formation lends this to whoever is granted a table",
            statements=[
                Statement(
                    "LendTables",
                    ["s3:GetObject"],
                    [bucket.arn_for_objects(prefix) for prefix in TABLE_PREFIXES],
                    NEW_KEYS,
                ),
                Statement("ListTables", ["s3:ListBucket"], [bucket.bucket_arn]),
            ],
        )
        self._location = bucket.bucket_arn
        self._in_turn(
            lakeformation.CfnResource(
                self,
                "ProcessedZone",
                resource_arn=bucket.bucket_arn,
                role_arn=role.role_arn,
                use_service_linked_role=False,
            )
        )

    # -- tags

    def _key(self, tag: str) -> str:
        return f"{self._config.prefix}-{tag}"

    def _tag(self, catalog: Catalog) -> None:
        for name, values in TAGS.items():
            self._in_turn(
                lakeformation.CfnTag(
                    self,
                    f"{name.capitalize()}Tag",
                    catalog_id=Aws.ACCOUNT_ID,
                    tag_key=self._key(name),
                    tag_values=list(values),
                )
            )
        # Tables inherit the database's tags where they have none of their own.
        self._associate(
            "Database",
            _Association.ResourceProperty(
                database=_Association.DatabaseResourceProperty(
                    catalog_id=Aws.ACCOUNT_ID, name=self._database
                )
            ),
            {"zone": "processed", "audience": "pipeline", "sensitivity": "internal"},
        )
        for table, tags in (
            (catalog.telemetry, {"zone": "raw"}),
            (catalog.bursts, {"zone": "raw"}),
            (catalog.maintenance, {"zone": "raw", "audience": "reports"}),
            (catalog.live_scores, {"audience": "reports"}),
        ):
            self._associate(
                table.node.id,
                _Association.ResourceProperty(
                    table=_Association.TableResourceProperty(
                        catalog_id=Aws.ACCOUNT_ID,
                        database_name=self._database,
                        name=table.table_name,
                    )
                ),
                tags,
            )
        self._associate(
            "Personal",
            _Association.ResourceProperty(
                table_with_columns=_Association.TableWithColumnsResourceProperty(
                    catalog_id=Aws.ACCOUNT_ID,
                    database_name=self._database,
                    name=catalog.maintenance.table_name,
                    column_names=list(PERSONAL_COLUMNS),
                )
            ),
            {"sensitivity": "personal"},
        )

    def _associate(
        self, name: str, resource: _Association.ResourceProperty, tags: Mapping[str, str]
    ) -> None:
        self._in_turn(
            _Association(
                self,
                f"{name}Tags",
                resource=resource,
                lf_tags=[
                    _Association.LFTagPairProperty(
                        catalog_id=Aws.ACCOUNT_ID, tag_key=self._key(tag), tag_values=[value]
                    )
                    for tag, value in tags.items()
                ],
            )
        )

    # -- grants

    def _grant_job(
        self, name: str, role: iam.Role, table: glue.S3Table, permissions: Sequence[str]
    ) -> None:
        """Let a job describe its own table, and what more it does to it, within the zone."""
        self._grant(
            f"{name}Table",
            role.role_arn,
            _Permissions.ResourceProperty(
                table=_Permissions.TableResourceProperty(
                    catalog_id=Aws.ACCOUNT_ID,
                    database_name=self._database,
                    name=table.table_name,
                )
            ),
            sorted({"DESCRIBE", *permissions}),
        )
        # Whoever points the catalog at objects in a registered place may do so there.
        self._grant(
            f"{name}Location",
            role.role_arn,
            _Permissions.ResourceProperty(
                data_location=_Permissions.DataLocationResourceProperty(
                    catalog_id=Aws.ACCOUNT_ID, resource_arn=self._location
                )
            ),
            ["DATA_LOCATION_ACCESS"],
        )

    def _grant_reader(self, reader: str, has_reader: CfnCondition) -> None:
        """Let the reports' principal read what is meant for reports, without what is personal."""
        grants = (
            self._grant(
                "ReaderDatabase",
                reader,
                _Permissions.ResourceProperty(
                    database=_Permissions.DatabaseResourceProperty(
                        catalog_id=Aws.ACCOUNT_ID, name=self._database
                    )
                ),
                ["DESCRIBE"],
            ),
            self._grant(
                "ReaderTables",
                reader,
                _Permissions.ResourceProperty(
                    lf_tag_policy=_Permissions.LFTagPolicyResourceProperty(
                        catalog_id=Aws.ACCOUNT_ID,
                        resource_type="TABLE",
                        expression=[
                            _Permissions.LFTagProperty(tag_key=self._key(tag), tag_values=[value])
                            for tag, value in (("audience", "reports"), ("sensitivity", "internal"))
                        ],
                    )
                ),
                ["DESCRIBE", "SELECT"],
            ),
        )
        for grant in grants:
            grant.cfn_options.condition = has_reader

    def _grant(
        self,
        name: str,
        principal: str,
        resource: _Permissions.ResourceProperty,
        permissions: Sequence[str],
    ) -> CfnResource:
        return self._in_turn(
            _Permissions(
                self,
                f"{name}Grant",
                principal=_Permissions.DataLakePrincipalProperty(
                    data_lake_principal_identifier=principal
                ),
                resource=resource,
                permissions=list(permissions),
                permissions_with_grant_option=[],
            )
        )
