"""QuickSight on the lake: health by machine, unusual hours, false alarms and maintenance."""

from __future__ import annotations

from typing import Any

from aws_cdk import Aws, CfnCondition, CfnParameter, CfnResource, Fn
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs.parameters import keep_name

HOURS = """
with levels as (
 select model_version, approx_percentile(score, 0.99) as level from scores group by 1),
hours as (
 select device_id, date_trunc('hour', from_unixtime(event_time_ms / 1000.0)) as hour_start,
  avg(scores.score / levels.level) as relative, max(event_time_ms) as last_ms
 from scores join levels on levels.model_version = scores.model_version
 where levels.level > 0 group by 1, 2)
"""
"""Hours of machines: the mean score, in units of what 1 % of the model's scores are above.

The detector's own episodes are in DynamoDB, which Athena does not read without a connector, and its
threshold is in the model; so the reports speak of hours that are unusual for their model.
"""

HEALTH = f"""{HOURS}
select device_id, hour_start, 1.0 / (1.0 + relative) as health,
 case when relative > 1.0 then 1 else 0 end as unusual
from hours
"""
"""Health is 1 for a score of 0, and a half where an hour begins to be unusual."""

FALSE_ALARMS = f"""{HOURS},
found as (
 select device_id, date_trunc('day', hour_start) as day_start, max(last_ms) as last_ms
 from hours where relative > 1.0 group by 1, 2)
select found.device_id, found.day_start,
 max(case when orders.order_id is null then 1 else 0 end) as false_alarms
from found left join maintenance as orders
 on orders.device_id = found.device_id and orders.type <> 'preventive'
 and orders.opened_ms between found.last_ms - 604800000 and found.last_ms + 604800000
group by 1, 2
"""
"""An unusual day is a false alarm when no repair was ordered within a week of it."""

MAINTENANCE = """
select device_id, type, date_trunc('day', from_unixtime(opened_ms / 1000.0)) as day_start,
 count(*) as orders, sum(downtime_s) / 3600.0 as downtime_h, sum(total_cost) as total_cost
from maintenance group by 1, 2, 3
"""

DATA_SETS: dict[str, tuple[str, dict[str, str]]] = {
    "health": (
        HEALTH,
        {
            "device_id": "STRING",
            "hour_start": "DATETIME",
            "health": "DECIMAL",
            "unusual": "INTEGER",
        },
    ),
    "false-alarms": (
        FALSE_ALARMS,
        {"device_id": "STRING", "day_start": "DATETIME", "false_alarms": "INTEGER"},
    ),
    "maintenance": (
        MAINTENANCE,
        {
            "device_id": "STRING",
            "type": "STRING",
            "day_start": "DATETIME",
            "orders": "INTEGER",
            "downtime_h": "DECIMAL",
            "total_cost": "DECIMAL",
        },
    ),
}
"""Name -> statement on the catalog, and the types of its columns."""

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


def _column(data_set: str, name: str) -> dict[str, str]:
    return {"DataSetIdentifier": data_set, "ColumnName": name}


def _dimension(field: str, data_set: str, name: str, *, is_time: bool = False) -> dict[str, Any]:
    kind = "DateDimensionField" if is_time else "CategoricalDimensionField"
    return {kind: {"FieldId": field, "Column": _column(data_set, name)}}


def _measure(field: str, data_set: str, name: str, how: str) -> dict[str, Any]:
    aggregated = {"SimpleNumericalAggregation": how}
    column = _column(data_set, name)
    return {
        "NumericalMeasureField": {
            "FieldId": field,
            "Column": column,
            "AggregationFunction": aggregated,
        }
    }


def _bars(visual: str, title: str, data_set: str, value: str, how: str = "SUM") -> dict[str, Any]:
    wells = {
        "Category": [_dimension(f"{visual}-device", data_set, "device_id")],
        "Values": [_measure(f"{visual}-value", data_set, value, how)],
    }
    return {"BarChartVisual": _visual(visual, title, {"BarChartAggregatedFieldWells": wells})}


def _lines(visual: str, title: str, data_set: str, at: str, value: str, how: str) -> dict[str, Any]:
    wells = {
        "Category": [_dimension(f"{visual}-time", data_set, at, is_time=True)],
        "Values": [_measure(f"{visual}-value", data_set, value, how)],
        "Colors": [_dimension(f"{visual}-device", data_set, "device_id")],
    }
    return {"LineChartVisual": _visual(visual, title, {"LineChartAggregatedFieldWells": wells})}


def _visual(visual: str, title: str, wells: dict[str, Any]) -> dict[str, Any]:
    return {
        "VisualId": visual,
        "Title": {"Visibility": "VISIBLE", "FormatText": {"PlainText": title}},
        "ChartConfiguration": {"FieldWells": wells},
    }


VISUALS = (
    _lines("health", "Health by machine", "health", "hour_start", "health", "AVERAGE"),
    _bars("unusual", "Unusual hours", "health", "unusual"),
    _bars("false-alarms", "Days with false alarms", "false-alarms", "false_alarms"),
    _bars("downtime", "Standstill for maintenance, hours", "maintenance", "downtime_h"),
    _bars("cost", "Cost of maintenance", "maintenance", "total_cost"),
)


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
        self._principal = parameter.value_as_string
        self._config = config
        self._wanted = CfnCondition(
            self,
            "Wanted",
            expression=Fn.condition_not(Fn.condition_equals(self._principal, "")),
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
        sheet = {"SheetId": "fleet", "Name": "Fleet", "Visuals": list(VISUALS)}
        definition = {"DataSetIdentifierDeclarations": declared, "Sheets": [sheet]}
        self._resource("Analysis", "fleet", "Analysis", {"Definition": definition})
        self._resource("Dashboard", "fleet", "Dashboard", {"Definition": definition})

    def _resource(self, kind: str, name: str, title: str, values: dict[str, Any]) -> CfnResource:
        made = CfnResource(
            self,
            title,
            type=f"AWS::QuickSight::{kind}",
            properties={
                "AwsAccountId": Aws.ACCOUNT_ID,
                f"{kind}Id": f"{self._config.prefix}-{name}",
                "Name": f"{self._config.prefix} {name}",
                "Permissions": [{"Principal": self._principal, "Actions": GRANTS[kind]}],
                **values,
            },
        )
        made.cfn_options.condition = self._wanted
        return made


def _table(
    source: CfnResource, statement: str, columns: dict[str, str], database: str
) -> dict[str, Any]:
    text = " ".join(statement.split())
    for table in ("scores", "maintenance"):
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
