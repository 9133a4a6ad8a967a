"""QuickSight on the lake: health by machine, unusual hours, false alarms and maintenance."""

from __future__ import annotations

from typing import Any

from aws_cdk import Aws, CfnCondition, CfnParameter, CfnResource, Fn
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs.parameters import keep_name
from infra_cdk.constructs.report_queries import DATA_SETS
from infra_cdk.constructs.reports import definition

_READ = ("Describe{}", "Describe{}Permissions", "Pass{}")
GRANTS = {
    "DataSource": [f"quicksight:{each.format('DataSource')}" for each in _READ],
    "DataSet": [
        *(f"quicksight:{each.format('DataSet')}" for each in _READ),
        "quicksight:DescribeIngestion",
        "quicksight:ListIngestions",
    ],
    "Analysis": [
        "quicksight:DescribeAnalysis",
        "quicksight:DescribeAnalysisPermissions",
        "quicksight:QueryAnalysis",
        "quicksight:UpdateAnalysis",
        "quicksight:DeleteAnalysis",
        "quicksight:RestoreAnalysis",
        "quicksight:UpdateAnalysisPermissions",
    ],
    "Dashboard": [
        "quicksight:DescribeDashboard",
        "quicksight:ListDashboardVersions",
        "quicksight:QueryDashboard",
    ],
}
"""What the principal may do with each: look, and change the analysis (QuickSight user guide)."""


class Reporting(Construct):
    """An Athena data source, data sets, an analysis and its dashboard, for one principal.

    Nothing is created without a principal: ``QuickSightPrincipal``, the ARN of a user or group.
    QuickSight's own role has to be allowed to read the lake, which is set in its console.
    """

    def __init__(
        self, scope: Construct, construct_id: str, config: StageConfig, *, database: str
    ) -> None:
        super().__init__(scope, construct_id)
        parameter = CfnParameter(
            self,
            "QuickSightPrincipal",
            type="String",
            default="",
            description="ARN of the QuickSight user or group that sees the reports; none: none",
        )
        keep_name(parameter)
        self.principal = parameter.value_as_string
        self._config = config
        self.wanted = CfnCondition(
            self,
            "Wanted",
            expression=Fn.condition_not(Fn.condition_equals(self.principal, "")),
        )
        source = self._resource(
            "DataSource",
            "lake",
            "Lake",
            {
                "Type": "ATHENA",
                "DataSourceParameters": {"AthenaParameters": {"WorkGroup": "primary"}},
            },
        )
        declared = []
        for name, (statement, columns) in DATA_SETS.items():
            made = self._resource(
                "DataSet",
                name,
                name.capitalize().replace("-", ""),
                _table(source, statement, columns, database),
            )
            declared.append({"Identifier": name, "DataSetArn": made.get_att("Arn").to_string()})
        shown = {"Definition": definition(declared)}
        self._resource("Analysis", "fleet", "Analysis", shown)
        self._resource("Dashboard", "fleet", "Dashboard", shown)

    def _resource(self, kind: str, name: str, title: str, values: dict[str, Any]) -> CfnResource:
        made = CfnResource(
            self,
            title,
            type=f"AWS::QuickSight::{kind}",
            properties={
                "AwsAccountId": Aws.ACCOUNT_ID,
                f"{kind}Id": f"{self._config.prefix}-{name}",
                "Name": f"{self._config.prefix} {name}",
                "Permissions": [{"Principal": self.principal, "Actions": GRANTS[kind]}],
                **values,
            },
        )
        made.cfn_options.condition = self.wanted
        return made


def _table(
    source: CfnResource, statement: str, columns: dict[str, str], database: str
) -> dict[str, Any]:
    text = " ".join(statement.split())
    for table in ("live_scores", "maintenance"):
        text = text.replace(f"from {table}", f"from {database}.{table}")
        text = text.replace(f"join {table}", f"join {database}.{table}")
    query = {
        "DataSourceArn": source.get_att("Arn").to_string(),
        "Name": "rows",
        "SqlQuery": text,
        "Columns": [{"Name": name, "Type": kind} for name, kind in columns.items()],
    }
    # Each picture asks Athena: nothing is copied, so nothing has to be refreshed.
    return {"ImportMode": "DIRECT_QUERY", "PhysicalTableMap": {"rows": {"CustomSql": query}}}
