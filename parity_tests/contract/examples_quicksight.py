"""Calls of QuickSight: data sources, data sets, analyses and dashboards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from parity_tests.contract.examples import Examples
from parity_tests.contract.world import World

quicksight = Examples("quicksight")

ACCOUNT = {"AwsAccountId": "000000000000"}
_ATHENA = {"AthenaParameters": {"WorkGroup": "primary"}}


def source_params(w: World) -> dict[str, Any]:
    named = {"DataSourceId": w.new("source"), "Name": "lake", "Type": "ATHENA"}
    return {**ACCOUNT, **named, "DataSourceParameters": _ATHENA}


def _set_params(w: World) -> dict[str, Any]:
    source = w.do("quicksight", "CreateDataSource", **source_params(w))["Arn"]
    columns = [{"Name": "device_id", "Type": "STRING"}]
    query = {"DataSourceArn": source, "Name": "rows", "SqlQuery": "select 1", "Columns": columns}
    tables = {"rows": {"CustomSql": query}}
    named = {"DataSetId": w.new("set"), "Name": "rows", "ImportMode": "DIRECT_QUERY"}
    return {**ACCOUNT, **named, "PhysicalTableMap": tables}


def _definition(w: World) -> dict[str, Any]:
    arn = w.do("quicksight", "CreateDataSet", **_set_params(w))["Arn"]
    return {
        "DataSetIdentifierDeclarations": [{"Identifier": "rows", "DataSetArn": arn}],
        "Sheets": [{"SheetId": "one", "Name": "One"}],
    }


def _drawn(name: str) -> Callable[[World], dict[str, Any]]:
    def params(w: World) -> dict[str, Any]:
        named = {f"{name}Id": w.new("drawn"), "Name": "fleet"}
        return {**ACCOUNT, **named, "Definition": _definition(w)}

    return params


MAKERS = {
    "DataSource": source_params,
    "DataSet": _set_params,
    "Analysis": _drawn("Analysis"),
    "Dashboard": _drawn("Dashboard"),
}
_DESCRIBED = {
    "DataSource": "DataSource.Arn DataSource.Type DataSource.Status DataSource.CreatedTime",
    "DataSet": "DataSet.Arn DataSet.PhysicalTableMap DataSet.ImportMode DataSet.CreatedTime",
    "Analysis": "Analysis.Arn Analysis.Status Analysis.DataSetArns Analysis.Sheets.SheetId",
    "Dashboard": "Dashboard.Arn Dashboard.Version.Status Dashboard.Version.Sheets.SheetId",
}
_LISTS = {
    "DataSource": ("ListDataSources", "DataSources.Arn"),
    "DataSet": ("ListDataSets", "DataSetSummaries.Arn DataSetSummaries.ImportMode"),
    "Analysis": ("ListAnalyses", "AnalysisSummaryList.Arn AnalysisSummaryList.Status"),
    "Dashboard": ("ListDashboards", "DashboardSummaryList.Arn"),
}


def named(kind: str, w: World) -> dict[str, Any]:
    made = w.do("quicksight", f"Create{kind}", **MAKERS[kind](w))
    return {**ACCOUNT, f"{kind}Id": made[f"{kind}Id"]}


def _asking(kind: str) -> Callable[[World], dict[str, Any]]:
    return lambda w: named(kind, w)


def _listing(kind: str) -> Callable[[World], dict[str, Any]]:
    return lambda w: named(kind, w) and dict(ACCOUNT)


def _updated(kind: str) -> Callable[[World], dict[str, Any]]:
    def params(w: World) -> dict[str, Any]:
        made = MAKERS[kind](w)
        w.do("quicksight", f"Create{kind}", **made)
        return {name: value for name, value in made.items() if name != "Type"} | {"Name": "new"}

    return params


quicksight.add(
    "UpdateDashboardPublishedVersion",
    lambda w: {**named("Dashboard", w), "VersionNumber": 1},
    "DashboardId DashboardArn Status",
)
for _kind, _make in MAKERS.items():
    quicksight.add(f"Update{_kind}", _updated(_kind), f"Arn {_kind}Id Status RequestId")
    quicksight.add(f"Create{_kind}", _make, f"Arn {_kind}Id Status RequestId")
    quicksight.add(f"Describe{_kind}", _asking(_kind), _DESCRIBED[_kind])
    quicksight.add(f"Delete{_kind}", _asking(_kind), f"Arn {_kind}Id Status")
    if _kind in ("Analysis", "Dashboard"):
        _present = f"{_kind}Id ResourceStatus Definition.Sheets.SheetId"
        quicksight.add(f"Describe{_kind}Definition", _asking(_kind), _present)
    _operation, _members = _LISTS[_kind]
    quicksight.add(_operation, _listing(_kind), _members)
