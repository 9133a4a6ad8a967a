"""Amazon QuickSight: data sources, data sets, analyses and dashboards, kept and described.

Called by `dispatch`. What exists is checked (each name that refers to another resource leads to
one) and described as it was given. `fleetwin dashboard --quicksight` runs the queries and draws.
Ingestions, users, permissions and embedding are not here.

Source: botocore's model of QuickSight. Texts of errors are from memory and not verified.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Execute, Operation, Params


class Kind(NamedTuple):
    """One kind of resource: how its operations, its parameters and its ARNs are called."""

    name: str
    id: str
    arn: str
    listed: str


KINDS = (
    Kind("DataSource", "DataSourceId", "datasource", "DataSources"),
    Kind("DataSet", "DataSetId", "dataset", "DataSetSummaries"),
    Kind("Analysis", "AnalysisId", "analysis", "AnalysisSummaryList"),
    Kind("Dashboard", "DashboardId", "dashboard", "DashboardSummaryList"),
)
PLURALS = {"Analysis": "Analyses"}
DONE = "CREATION_SUCCESSFUL"


@dataclass(frozen=True)
class Kept:
    """One resource, as it was asked for."""

    arn: str
    params: Params
    created: datetime


class QuickSight:
    """The service."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._kept: dict[str, Kept] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the operations that run here."""
        table: dict[str, Operation] = {}
        for kind in KINDS:
            on_one: dict[str, Execute] = {
                f"Create{kind.name}": self._create(kind),
                f"Describe{kind.name}": self._describe(kind),
                f"Delete{kind.name}": self._delete(kind),
            }
            if kind.name in ("Analysis", "Dashboard"):
                on_one[f"Describe{kind.name}Definition"] = self._definition(kind)
            table |= {name: Operation(do, self._resources(kind)) for name, do in on_one.items()}
            plural = PLURALS.get(kind.name, f"{kind.name}s")
            table[f"List{plural}"] = Operation(self._list(kind))
        return table

    # -- what an operation of a kind does

    def _resources(self, kind: Kind) -> Any:
        return lambda params: (self._arn(kind, params),)

    def _arn(self, kind: Kind, params: Params) -> str:
        return self._context.arn("quicksight", f"{kind.arn}/{params[kind.id]}")

    def _find(self, kind: Kind, params: Params) -> Kept:
        self._check_account(params)
        arn = self._arn(kind, params)
        if arn not in self._kept:
            raise _missing(f"{kind.name} {params[kind.id]} is not found")
        return self._kept[arn]

    def _check_account(self, params: Params) -> None:
        if params["AwsAccountId"] != self._context.account:
            raise AwsError("AccessDeniedException", "The account is not the caller's", status=401)

    def _create(self, kind: Kind) -> Execute:
        def create(call: Call) -> Answer:
            params = call.params
            self._check_account(params)
            arn = self._arn(kind, params)
            if arn in self._kept:
                raise AwsError(
                    "ResourceExistsException", f"{kind.name} {params[kind.id]} exists", status=409
                )
            self._check(params)
            self._kept[arn] = Kept(arn, params, self._context.engine.now())
            version = {"VersionArn": f"{arn}/version/1"} if kind.name == "Dashboard" else {}
            status = {} if kind.name == "DataSet" else {"CreationStatus": "CREATION_IN_PROGRESS"}
            return self._ok({"Arn": arn, kind.id: params[kind.id], **version, **status}, 201)

        return create

    def _check(self, params: Params) -> None:
        """Raise what AWS says of a name that leads nowhere, and of what is not here."""
        for name in ("SourceEntity", "FolderArns", "RowLevelPermissionDataSet"):
            if params.get(name):
                raise NotSupportedByTwin(f"quicksight: {name}")
        for table in params.get("PhysicalTableMap", {}).values():
            for source in table.values():
                self._need(source.get("DataSourceArn"))
        definition = params.get("Definition", {})
        declared = {
            each["Identifier"]: each["DataSetArn"]
            for each in definition.get("DataSetIdentifierDeclarations", [])
        }
        for arn in declared.values():
            self._need(arn)
        for name in used_sets(definition):
            if name not in declared:
                raise AwsError(
                    "InvalidParameterValueException", f"DataSetIdentifier {name} is not declared"
                )

    def _need(self, arn: Any) -> None:
        if arn not in self._kept:
            raise _missing(f"{arn} is not found")

    def _describe(self, kind: Kind) -> Execute:
        def describe(call: Call) -> Answer:
            return self._ok({kind.name: self._shown(kind, self._find(kind, call.params))})

        return describe

    def _shown(self, kind: Kind, kept: Kept) -> Params:
        params, when = kept.params, kept.created
        shown: Params = {"Arn": kept.arn, kind.id: params[kind.id], "Name": params["Name"]}
        shown |= {"CreatedTime": when, "LastUpdatedTime": when}
        if kind.name == "DataSource":
            members: Sequence[str] = ("Type", "DataSourceParameters", "SslProperties")
            return shown | {"Status": DONE} | _given(params, members)
        if kind.name == "DataSet":
            members = ("PhysicalTableMap", "LogicalTableMap", "ImportMode")
            return shown | {"ConsumedSpiceCapacityInBytes": 0} | _given(params, members)
        parts: Params = {"Status": DONE, **_given(params, ("ThemeArn",))}
        definition = params.get("Definition", {})
        declared = definition.get("DataSetIdentifierDeclarations", [])
        parts["DataSetArns"] = [each["DataSetArn"] for each in declared]
        parts["Sheets"] = [
            {"SheetId": each["SheetId"], **({"Name": each["Name"]} if "Name" in each else {})}
            for each in definition.get("Sheets", [])
        ]
        if kind.name == "Analysis":
            return shown | parts
        version = {"VersionNumber": 1, "Arn": f"{kept.arn}/version/1", "CreatedTime": when}
        return shown | {"LastPublishedTime": when, "Version": version | parts}

    def _definition(self, kind: Kind) -> Execute:
        def definition(call: Call) -> Answer:
            kept = self._find(kind, call.params)
            answer = {kind.id: call.params[kind.id], "Name": kept.params["Name"]}
            given = _given(kept.params, ("ThemeArn", "Definition"))
            return self._ok({**answer, "ResourceStatus": DONE, **given})

        return definition

    def _delete(self, kind: Kind) -> Execute:
        def delete(call: Call) -> Answer:
            kept = self._find(kind, call.params)
            del self._kept[kept.arn]
            return self._ok({"Arn": kept.arn, kind.id: call.params[kind.id]})

        return delete

    def _list(self, kind: Kind) -> Execute:
        def listed(call: Call) -> Answer:
            self._check_account(call.params)
            prefix = self._context.arn("quicksight", f"{kind.arn}/")
            found = [one for arn, one in sorted(self._kept.items()) if arn.startswith(prefix)]
            return self._ok({kind.listed: [self._summary(kind, one) for one in found]})

        return listed

    def _summary(self, kind: Kind, kept: Kept) -> Params:
        shown = self._shown(kind, kept)
        members = {
            "DataSource": tuple(shown),
            "DataSet": ("Arn", kind.id, "Name", "CreatedTime", "LastUpdatedTime", "ImportMode"),
            "Analysis": ("Arn", kind.id, "Name", "Status", "CreatedTime", "LastUpdatedTime"),
            "Dashboard": (
                *("Arn", kind.id, "Name", "CreatedTime", "LastUpdatedTime", "LastPublishedTime"),
            ),
        }[kind.name]
        version = {"PublishedVersionNumber": 1} if kind.name == "Dashboard" else {}
        return _given(shown, members) | version

    def _ok(self, answer: Params, status: int = 200) -> Answer:
        return {**answer, "Status": status, "RequestId": self._context.engine.new_id()}


def used_sets(definition: Any) -> set[str]:
    """Return the data set identifiers that a definition's columns name."""
    if isinstance(definition, Mapping):
        own = {str(definition["DataSetIdentifier"])} if "DataSetIdentifier" in definition else set()
        return own.union(*(used_sets(each) for each in definition.values()))
    if isinstance(definition, list):
        return set().union(*(used_sets(each) for each in definition))
    return set()


def _given(values: Params, names: Sequence[str]) -> Params:
    return {name: values[name] for name in names if name in values}


def _missing(message: str) -> AwsError:
    return AwsError("ResourceNotFoundException", message, status=404)
