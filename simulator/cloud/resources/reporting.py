"""QuickSight's data sources, data sets, analyses and dashboards: they are stored and described."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.cloud.resources.declarations import NAMED, Declared, enforced, stored
from simulator.cloud.resources.mapping import Outcome, Resource, maps

_SHOWN = stored("kept and described; `fleetwin dashboard --quicksight` draws dashboards")
_NOBODY = stored("the twin has no QuickSight users, so nobody is admitted by it")
_LEADS = "test_quicksight.test_what_a_definition_names_has_to_be_there"
_COMMON: Mapping[str, Declared] = {
    "AwsAccountId": enforced("test_quicksight.test_another_account_is_refused"),
    "Name": _SHOWN,
    "Permissions": _NOBODY,
}


def _create(resource: Resource, kind: str, arn: str) -> Outcome:
    values = dict(resource.properties.rest())
    values.setdefault("AwsAccountId", resource.context.account)
    # Names of columns and of data sets are keys of maps: they keep their spelling.
    params = resource.fit("quicksight", f"Create{kind}", values)
    identity = str(params[f"{kind}Id"])
    resource.call("quicksight", f"Create{kind}", params)
    return identity, {"Arn": resource.context.arn("quicksight", f"{arn}/{identity}")}


@maps(
    "AWS::QuickSight::DataSource",
    {
        **_COMMON,
        "DataSourceId": NAMED,
        "Type": _SHOWN,
        "DataSourceParameters": _SHOWN,
        "SslProperties": _SHOWN,
    },
)
def data_source(resource: Resource) -> Outcome:
    """Create a data source."""
    return _create(resource, "DataSource", "datasource")


@maps(
    "AWS::QuickSight::DataSet",
    {
        **_COMMON,
        "DataSetId": NAMED,
        "ImportMode": _SHOWN,
        "PhysicalTableMap": enforced(_LEADS),
        "LogicalTableMap": _SHOWN,
    },
)
def data_set(resource: Resource) -> Outcome:
    """Create a data set."""
    return _create(resource, "DataSet", "dataset")


@maps(
    "AWS::QuickSight::Analysis",
    {**_COMMON, "AnalysisId": NAMED, "Definition": enforced(_LEADS), "ThemeArn": _SHOWN},
)
def analysis(resource: Resource) -> Outcome:
    """Create an analysis from its definition."""
    return _create(resource, "Analysis", "analysis")


@maps(
    "AWS::QuickSight::Dashboard",
    {
        **_COMMON,
        "DashboardId": NAMED,
        "Definition": enforced(_LEADS),
        "DashboardPublishOptions": _SHOWN,
        "ThemeArn": _SHOWN,
        "VersionDescription": _SHOWN,
    },
)
def dashboard(resource: Resource) -> Outcome:
    """Create and publish a dashboard from its definition."""
    return _create(resource, "Dashboard", "dashboard")
