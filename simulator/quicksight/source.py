"""A dashboard's definition, as a twin of the stack describes it, and the rows of its data sets.

Of a finished run a twin lives for the questions only: the stack is created for a reader, because
it has reports for a principal alone. A twin that is up is asked itself. Rows come from the lake in
the state folder, by the data sets' own statements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from simulator.cloud import dashboards_store
from simulator.errors import ScenarioError, SimulatorError
from simulator.lake import lake_of
from simulator.quicksight.drawn import NotDrawn, check
from simulator.quicksight.fields import Row
from simulator.targets import quiet_twin

Call = Callable[..., Mapping[str, Any]]
READER = "arn:aws:quicksight:us-east-1:000000000000:user/default/reader"
_BEFORE_ALL = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Report:
    """A dashboard with what it shows: rows by the identifier of their data set.

    ``now`` is when the run ended and ``first`` the earliest time in the rows, both without zone.
    """

    name: str
    definition: Mapping[str, Any]
    rows: Mapping[str, Sequence[Row]]
    now: datetime
    first: datetime | None = None


def report_of(state: Path, assembly: Path, name: str = "") -> Report:
    """Return the one dashboard of an assembly whose id ends with ``name``, with its rows.

    Raises ScenarioError where it is not one, and NotDrawn before any statement runs.
    """
    with TemporaryDirectory() as folder:
        cloud = quiet_twin(_BEFORE_ALL, Path(folder), assembly, QuickSightPrincipal=READER)
        try:
            found = _described(cloud.call, cloud.context.account, name)
        finally:
            cloud.close()
    return _filled(state, *found, end=_end(state))


def report_at(state: Path, endpoint: str, name: str = "") -> Report:
    """Return a dashboard of the twin that is up at an endpoint, and has this state folder.

    Now is the latest time in its rows. Raises as `report_of` does, and SimulatorError for what the
    twin answers.
    """
    import boto3
    from botocore import xform_name
    from botocore.exceptions import BotoCoreError, ClientError

    make: Any = boto3.Session().client  # Its overloads want a literal.

    def call(service: str, operation: str, **params: Any) -> Mapping[str, Any]:
        client = make(service, endpoint_url=endpoint)
        answer: Mapping[str, Any] = getattr(client, xform_name(operation))(**params)
        return answer

    try:
        account = call("sts", "GetCallerIdentity")["Account"]
        found = _described(call, account, name)
    except (BotoCoreError, ClientError) as error:
        raise SimulatorError(f"QuickSight at {endpoint}: {error}") from error
    return _filled(state, *found, end=None)


def _filled(
    state: Path,
    title: str,
    definition: Mapping[str, Any],
    statements: Mapping[str, tuple[str, list[str]]],
    *,
    end: datetime | None,
) -> Report:
    lake = lake_of(state)
    rows = {}
    for identifier, (statement, columns) in statements.items():
        result = lake.run(statement)
        found = [column for column, _ in result.columns]
        if found != columns:
            raise ScenarioError(
                f"data set {identifier}: the statement gives {', '.join(found)}, and "
                f"{', '.join(columns)} are declared"
            )
        rows[identifier] = [
            dict(zip(columns, map(_plain, row), strict=True)) for row in result.rows
        ]
    times = [
        value
        for each in rows.values()
        for row in each
        for value in row.values()
        if isinstance(value, datetime)
    ]
    now = end or max(times, default=_BEFORE_ALL.replace(tzinfo=None))
    return Report(title, definition, rows, now, min(times, default=None))


def _described(
    call: Call, of_account: str, name: str
) -> tuple[str, Mapping[str, Any], dict[str, tuple[str, list[str]]]]:
    """Return a dashboard's name, its definition, and statement and columns of its data sets."""
    account = {"AwsAccountId": of_account}
    listed = call("quicksight", "ListDashboards", **account)["DashboardSummaryList"]
    ids = sorted(one["DashboardId"] for one in listed)
    fit = [one for one in ids if one.endswith(name)]
    if len(fit) != 1:
        raise ScenarioError(f"{name or 'no name'}: choose one of {', '.join(ids) or 'none'}")
    answer = call("quicksight", "DescribeDashboardDefinition", **account, DashboardId=fit[0])
    definition = answer["Definition"]
    check(definition)
    statements = {}
    for declared in definition["DataSetIdentifierDeclarations"]:
        data_set = declared["DataSetArn"].rpartition("/")[2]
        found = call("quicksight", "DescribeDataSet", **account, DataSetId=data_set)
        statements[declared["Identifier"]] = _statement(found["DataSet"])
    return answer["Name"], definition, statements


def _statement(data_set: Mapping[str, Any]) -> tuple[str, list[str]]:
    tables = list(data_set["PhysicalTableMap"].values())
    if len(tables) != 1 or "CustomSql" not in tables[0] or data_set.get("LogicalTableMap"):
        raise NotDrawn(
            f"not drawn: the data set {data_set['DataSetId']}, which is not one CustomSql without "
            "a LogicalTableMap"
        )
    query = tables[0]["CustomSql"]
    return query["SqlQuery"], [column["Name"] for column in query.get("Columns", [])]


def _plain(value: Any) -> Any:
    """Return a value as the drawing has it: numbers as floats, times as UTC without zone."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def _end(state: Path) -> datetime | None:
    """Return when the run ended, if it had a dashboard of CloudWatch's, which says so."""
    try:
        end_s = dashboards_store.load(state).end_s
    except FileNotFoundError:
        return None
    return datetime.fromtimestamp(end_s, UTC).replace(tzinfo=None)
