"""QuickSight: what is stored is checked for where its names lead, and described."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.errors import AwsError
from simulator.cloud.quicksight import QuickSight
from simulator.cloud.tests.twin import context_of, executor

ACCOUNT = {"AwsAccountId": "000000000000"}


@pytest.fixture
def do(tmp_path: Path) -> Any:
    execute = executor(quicksight=QuickSight(context_of(tmp_path)))
    return lambda operation, **params: execute("quicksight", operation, {**ACCOUNT, **params})


def table(source: str) -> dict[str, Any]:
    query = {"DataSourceArn": source, "Name": "n", "SqlQuery": "select 1", "Columns": []}
    return {"rows": {"CustomSql": query}}


def definition(data_set: str, used: str = "rows") -> dict[str, Any]:
    column = {"DataSetIdentifier": used, "ColumnName": "a"}
    return {
        "DataSetIdentifierDeclarations": [{"Identifier": "rows", "DataSetArn": data_set}],
        "Sheets": [{"SheetId": "s", "Visuals": [{"BarChartVisual": {"Column": column}}]}],
    }


def test_what_a_definition_names_has_to_be_there(do: Any) -> None:
    named = {"DataSetId": "d", "Name": "d", "ImportMode": "DIRECT_QUERY"}
    with pytest.raises(AwsError, match="datasource/none is not found"):
        do("CreateDataSet", **named, PhysicalTableMap=table("datasource/none"))
    source = do("CreateDataSource", DataSourceId="s", Name="s", Type="ATHENA")["Arn"]
    made = do("CreateDataSet", **named, PhysicalTableMap=table(source))["Arn"]
    for wrong, said in ((definition("dataset/none"), "not found"), (definition(made, "x"), "x is")):
        with pytest.raises(AwsError, match=said):
            do("CreateDashboard", DashboardId="b", Name="b", Definition=wrong)
    do("CreateDashboard", DashboardId="b", Name="b", Definition=definition(made))
    shown = do("DescribeDashboard", DashboardId="b")["Dashboard"]
    assert shown["Version"]["DataSetArns"] == [made]
    kept = do("DescribeDashboardDefinition", DashboardId="b")["Definition"]
    assert kept == definition(made)
    do("DeleteDashboard", DashboardId="b")
    assert do("ListDashboards")["DashboardSummaryList"] == []


def test_another_account_is_refused(do: Any) -> None:
    with pytest.raises(AwsError) as caught:
        do("ListDataSets", AwsAccountId="999999999999")
    assert caught.value.code == "AccessDeniedException"


def test_what_is_not_here_is_refused_by_name(do: Any) -> None:
    with pytest.raises(AwsError, match="SourceEntity"):
        do("CreateAnalysis", AnalysisId="a", Name="a", SourceEntity={"SourceTemplate": {}})


def test_an_update_says_all_of_a_data_set_and_a_source_stays_of_its_kind(do: Any) -> None:
    source = do("CreateDataSource", DataSourceId="s", Name="s", Type="ATHENA")["Arn"]
    do("UpdateDataSource", DataSourceId="s", Name="lake")
    shown = do("DescribeDataSource", DataSourceId="s")["DataSource"]
    assert (shown["Name"], shown["Type"]) == ("lake", "ATHENA")
    rows = {"DataSetId": "d", "ImportMode": "DIRECT_QUERY", "PhysicalTableMap": table(source)}
    logical = {"rows": {"Alias": "r", "Source": {"PhysicalTableId": "rows"}}}
    do("CreateDataSet", Name="d", **rows, LogicalTableMap=logical)
    wrong = {**rows, "PhysicalTableMap": table("datasource/none")}
    with pytest.raises(AwsError, match="datasource/none is not found"):
        do("UpdateDataSet", Name="e", **wrong)
    do("UpdateDataSet", Name="e", **rows)
    shown = do("DescribeDataSet", DataSetId="d")["DataSet"]
    assert shown["Name"] == "e"
    assert "LogicalTableMap" not in shown
    with pytest.raises(AwsError, match="is not found"):
        do("UpdateAnalysis", AnalysisId="none", Name="a")


def test_a_new_version_of_a_dashboard_is_shown_once_it_is_published(do: Any) -> None:
    source = do("CreateDataSource", DataSourceId="s", Name="s", Type="ATHENA")["Arn"]
    rows = {"DataSetId": "d", "ImportMode": "DIRECT_QUERY", "PhysicalTableMap": table(source)}
    first = definition(do("CreateDataSet", Name="d", **rows)["Arn"])
    second = {**first, "Sheets": [{"SheetId": "t"}]}
    which = {"DashboardId": "b"}
    do("CreateDashboard", **which, Name="one", Definition=first)
    made = do("UpdateDashboard", **which, Name="two", Definition=second)
    assert made["VersionArn"].endswith("dashboard/b/version/2")

    def shown(**asked: Any) -> tuple[Any, ...]:
        found = do("DescribeDashboard", **which, **asked)["Dashboard"]
        drawn = do("DescribeDashboardDefinition", **which, **asked)["Definition"]
        return found["Name"], found["Version"]["VersionNumber"], drawn["Sheets"][0]["SheetId"]

    assert shown() == shown(VersionNumber=1) == shown(AliasName="$PUBLISHED") == ("one", 1, "s")
    assert shown(VersionNumber=2) == shown(AliasName="$LATEST") == ("two", 2, "t")
    do("UpdateDashboardPublishedVersion", **which, VersionNumber=2)
    assert shown() == ("two", 2, "t")
    (listed,) = do("ListDashboards")["DashboardSummaryList"]
    assert (listed["Name"], listed["PublishedVersionNumber"]) == ("two", 2)
    for asked in ({"VersionNumber": 3}, {"VersionNumber": 0}):
        with pytest.raises(AwsError, match=r"version . of .* is not found"):
            do("DescribeDashboard", **which, **asked)
        with pytest.raises(AwsError, match="is not found"):
            do("UpdateDashboardPublishedVersion", **which, **asked)
