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
