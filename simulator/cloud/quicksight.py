"""Amazon QuickSight: data sources, data sets, analyses and dashboards, kept and described.

Called by `dispatch`. What exists is checked (each name that refers to another resource leads to
one) and described as it was given. `fleetwin dashboard --quicksight` runs the queries and draws.
Ingestions, users, permissions and embedding are not here.

An update replaces all that its operation takes; what it does not say is gone. An update of a
dashboard makes a version, which is shown once it is published (API reference, UpdateDashboard).

Source: botocore's model of QuickSight. Texts of errors are from memory and not verified, nor that
what an update does not say is gone, nor that a dashboard's name belongs to its version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from simulator.cloud.context import Context
from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.operations import Answer, Call, Execute, Operation, Params
from simulator.cloud.validation import operation_model


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
    """One resource, as it was asked for; of a dashboard ``params`` are the published version's."""

    arn: str
    params: Params
    created: datetime
    updated: datetime
    versions: tuple[tuple[Params, datetime], ...]
    """Of a dashboard: what each version says, and when it was made. The first is number 1."""
    published: int = 1


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
                f"Update{kind.name}": self._update(kind),
                f"Delete{kind.name}": self._delete(kind),
            }
            if kind.name in ("Analysis", "Dashboard"):
                on_one[f"Describe{kind.name}Definition"] = self._definition(kind)
            if kind.name == "Dashboard":
                on_one["UpdateDashboardPublishedVersion"] = self._publish(kind)
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
            now = self._context.engine.now()
            self._kept[arn] = Kept(arn, params, now, now, ((params, now),))
            version = {"VersionArn": f"{arn}/version/1"} if kind.name == "Dashboard" else {}
            status = {} if kind.name == "DataSet" else {"CreationStatus": "CREATION_IN_PROGRESS"}
            return self._ok({"Arn": arn, kind.id: params[kind.id], **version, **status}, 201)

        return create

    def _update(self, kind: Kind) -> Execute:
        def update(call: Call) -> Answer:
            kept, now = self._find(kind, call.params), self._context.engine.now()
            self._check(call.params)
            # A source's kind, for one, is said when it is made and never again.
            taken = operation_model("quicksight", f"Update{kind.name}").input_shape
            takes = taken.members if taken is not None else {}
            stays = {name: value for name, value in kept.params.items() if name not in takes}
            params = {**stays, **call.params}
            answer: Params = {"Arn": kept.arn, kind.id: params[kind.id]}
            if kind.name == "Dashboard":
                versions = (*kept.versions, (params, now))
                self._kept[kept.arn] = replace(kept, versions=versions, updated=now)
                answer |= {"VersionArn": f"{kept.arn}/version/{len(versions)}"}
                return self._ok({**answer, "CreationStatus": "CREATION_IN_PROGRESS"})
            self._kept[kept.arn] = replace(kept, params=params, updated=now)
            status = {} if kind.name == "DataSet" else {"UpdateStatus": "UPDATE_IN_PROGRESS"}
            return self._ok({**answer, **status})

        return update

    def _publish(self, kind: Kind) -> Execute:
        def publish(call: Call) -> Answer:
            kept, number = self._find(kind, call.params), call.params["VersionNumber"]
            params, _ = _version(kept, number)
            self._kept[kept.arn] = replace(kept, params=params, published=number)
            return self._ok({kind.id: params[kind.id], "DashboardArn": kept.arn})

        return publish

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
            kept = self._find(kind, call.params)
            number = _asked_version(kept, call.params)
            return self._ok({kind.name: self._shown(kind, kept, number)})

        return describe

    def _shown(self, kind: Kind, kept: Kept, number: int | None = None) -> Params:
        number = kept.published if number is None else number
        params, made = _version(kept, number) if kind.name == "Dashboard" else (kept.params, None)
        shown: Params = {"Arn": kept.arn, kind.id: params[kind.id], "Name": params["Name"]}
        shown |= {"CreatedTime": kept.created, "LastUpdatedTime": kept.updated}
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
        version = {"VersionNumber": number, "Arn": f"{kept.arn}/version/{number}"}
        version["CreatedTime"] = made
        if "VersionDescription" in params:
            version["Description"] = params["VersionDescription"]
        _, published = _version(kept, kept.published)
        return shown | {"LastPublishedTime": published, "Version": version | parts}

    def _definition(self, kind: Kind) -> Execute:
        def definition(call: Call) -> Answer:
            kept = self._find(kind, call.params)
            params = kept.params
            if kind.name == "Dashboard":
                params, _ = _version(kept, _asked_version(kept, call.params))
            answer = {kind.id: call.params[kind.id], "Name": params["Name"]}
            given = _given(params, ("ThemeArn", "Definition", "DashboardPublishOptions"))
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
        version = {"PublishedVersionNumber": kept.published} if kind.name == "Dashboard" else {}
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


def _asked_version(kept: Kept, params: Params) -> int:
    """Return the number of the version that is asked for: that, the latest, or the published."""
    if params.get("AliasName") == "$LATEST":
        return len(kept.versions)
    number: int = params.get("VersionNumber", kept.published)
    return number


def _version(kept: Kept, number: int) -> tuple[Params, datetime]:
    if not 1 <= number <= len(kept.versions):
        raise _missing(f"version {number} of {kept.arn} is not found")
    return kept.versions[number - 1]


def _given(values: Params, names: Sequence[str]) -> Params:
    return {name: values[name] for name in names if name in values}


def _missing(message: str) -> AwsError:
    return AwsError("ResourceNotFoundException", message, status=404)
