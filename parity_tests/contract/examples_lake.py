"""Examples of Lake Formation: settings, locations, grants, tags, filters."""

from __future__ import annotations

from typing import Any

from parity_tests.contract.examples import Examples, below
from parity_tests.contract.examples_catalog import database, table
from parity_tests.contract.world import World

lake = Examples("lakeformation")

ACCOUNT = "000000000000"


def settings(**more: Any) -> dict[str, Any]:
    """Return settings that leave new tables open."""
    open_to_iam = [
        {
            "Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"},
            "Permissions": ["ALL"],
        }
    ]
    return {
        "DataLakeSettings": {
            "CreateDatabaseDefaultPermissions": open_to_iam,
            "CreateTableDefaultPermissions": open_to_iam,
            **more,
        }
    }


def registered(w: World) -> dict[str, Any]:
    """Return ResourceArn of a new registered location."""
    arn = f"arn:aws:s3:::{w.new('registered')}/zone"
    w.do("lakeformation", "RegisterResource", ResourceArn=arn, RoleArn=w.role)
    return {"ResourceArn": arn}


def grant(w: World) -> dict[str, Any]:
    """Return a grant of columns that can be made."""
    where = table(w, key="Name")
    return {
        "Principal": {"DataLakePrincipalIdentifier": w.role},
        "Resource": {"TableWithColumns": {**where, "ColumnNames": ["device_id"]}},
        "Permissions": ["SELECT"],
        "PermissionsWithGrantOption": ["SELECT"],
    }


def granted(w: World) -> dict[str, Any]:
    """Return a grant that was made."""
    given = grant(w)
    w.do("lakeformation", "GrantPermissions", **given)
    return given


def tag(w: World) -> dict[str, Any]:
    """Return TagKey of a new tag with two values."""
    name = w.new("zone")
    w.do("lakeformation", "CreateLFTag", TagKey=name, TagValues=["raw", "public"])
    return {"TagKey": name}


def tagged(w: World) -> dict[str, Any]:
    """Return a table with a tag on it, on its database and on a column."""
    where, name = table(w, key="Name"), tag(w)["TagKey"]
    columns = {**where, "ColumnNames": ["device_id"]}
    database_only = {"Database": {"Name": where["DatabaseName"]}}
    for resource in ({"Table": where}, {"TableWithColumns": columns}, database_only):
        pair = {"TagKey": name, "TagValues": ["raw"]}
        w.do("lakeformation", "AddLFTagsToResource", Resource=resource, LFTags=[pair])
    return {"Resource": {"Table": where}}


def cells(w: World) -> dict[str, Any]:
    """Return a data cells filter that can be created."""
    where = table(w)
    return {
        "TableCatalogId": ACCOUNT,
        **where,
        "Name": "one_pump",
        "RowFilter": {"FilterExpression": "device_id = 'pump-001'"},
        "ColumnNames": ["device_id"],
    }


def filtered(w: World) -> dict[str, Any]:
    """Return what names a data cells filter that was created."""
    given = cells(w)
    w.do("lakeformation", "CreateDataCellsFilter", TableData=given)
    return {name: given[name] for name in ("TableCatalogId", "DatabaseName", "TableName", "Name")}


def _filters(w: World) -> dict[str, Any]:
    named = filtered(w)
    where = {"DatabaseName": named["DatabaseName"], "Name": named["TableName"]}
    return {"Table": where}


def _on_path(w: World) -> dict[str, Any]:
    granted(w)
    return {"ResourceArn": "arn:aws:s3:::contract/features"}


def _vended(w: World) -> dict[str, Any]:
    where = table(w, key="Name")
    w.do("lakeformation", "PutDataLakeSettings", **settings(AllowFullTableExternalDataAccess=True))
    arn = "arn:aws:s3:::contract"
    if not w.do("lakeformation", "ListResources").get("ResourceInfoList") or not any(
        one["ResourceArn"] == arn
        for one in w.do("lakeformation", "ListResources")["ResourceInfoList"]
    ):
        w.do("lakeformation", "RegisterResource", ResourceArn=arn, RoleArn=w.role)
    path = f"{where['DatabaseName']}/{where['Name']}"
    return {"TableArn": f"arn:aws:glue:us-east-1:{ACCOUNT}:table/{path}", "Permissions": ["SELECT"]}


_GRANT = """Principal.DataLakePrincipalIdentifier Resource.TableWithColumns.Name Permissions
PermissionsWithGrantOption"""


def _with_settings(w: World) -> dict[str, Any]:
    """Ask after the stack's own settings, which leave nothing open, were replaced."""
    w.do("lakeformation", "PutDataLakeSettings", **settings())
    return {}


lake.add(
    "GetDataLakeSettings",
    _with_settings,
    below("DataLakeSettings", "CreateTableDefaultPermissions.Permissions"),
)
lake.add("PutDataLakeSettings", lambda w: settings())
lake.add(
    "RegisterResource",
    lambda w: {"ResourceArn": f"arn:aws:s3:::{w.new('place')}", "RoleArn": w.role},
)
lake.add("UpdateResource", lambda w: {**registered(w), "RoleArn": w.role})
lake.add("DeregisterResource", registered)
lake.add("DescribeResource", registered, below("ResourceInfo", "ResourceArn RoleArn LastModified"))
lake.add(
    "ListResources",
    lambda w: {"MaxResults": [registered(w), registered(w), 1][2]},
    below("ResourceInfoList", "ResourceArn RoleArn LastModified") + " NextToken",
)
lake.add("GrantPermissions", grant)
lake.add("RevokePermissions", granted)
lake.add(
    "BatchGrantPermissions",
    lambda w: {"Entries": [{"Id": "1", **grant(w), "Permissions": ["DROP"]}]},
    "Failures.RequestEntry.Id Failures.Error.ErrorCode Failures.Error.ErrorMessage",
)
lake.add(
    "BatchRevokePermissions",
    lambda w: {"Entries": [{"Id": "1", **grant(w)}]},
    "Failures.RequestEntry.Id Failures.Error.ErrorCode",
)
lake.add(
    "ListPermissions",
    lambda w: {"Resource": granted(w)["Resource"]},
    below("PrincipalResourcePermissions", _GRANT),
)
lake.add(
    "GetEffectivePermissionsForPath",
    _on_path,
    below("Permissions", "Principal.DataLakePrincipalIdentifier Permissions"),
)
lake.add("CreateLFTag", lambda w: {"TagKey": w.new("zone"), "TagValues": ["raw"]})
lake.add("GetLFTag", tag, "CatalogId TagKey TagValues")
lake.add("UpdateLFTag", lambda w: {**tag(w), "TagValuesToAdd": ["secret"]})
lake.add("DeleteLFTag", tag)
lake.add(
    "ListLFTags", lambda w: {"MaxResults": [tag(w), 1000][1]}, below("LFTags", "TagKey TagValues")
)
lake.add(
    "AddLFTagsToResource",
    lambda w: {
        "Resource": {"Database": {"Name": database(w)}},
        "LFTags": [{**tag(w), "TagValues": ["unknown"]}],
    },
    "Failures.LFTag.TagKey Failures.Error.ErrorCode",
)
lake.add(
    "RemoveLFTagsFromResource",
    lambda w: {**tagged(w), "LFTags": [{"TagKey": "none", "TagValues": ["raw"]}]},
    "Failures.LFTag.TagKey Failures.Error.ErrorCode",
)
lake.add(
    "GetResourceLFTags",
    tagged,
    "LFTagOnDatabase.TagKey LFTagsOnTable.TagValues LFTagsOnColumns.LFTags.TagKey",
)
lake.add("CreateDataCellsFilter", lambda w: {"TableData": cells(w)})
lake.add(
    "GetDataCellsFilter",
    filtered,
    below("DataCellsFilter", "Name TableName RowFilter.FilterExpression ColumnNames VersionId"),
)
lake.add(
    "UpdateDataCellsFilter",
    lambda w: {
        "TableData": {**filtered(w), "ColumnWildcard": {}, "RowFilter": {"AllRowsWildcard": {}}}
    },
)
lake.add("DeleteDataCellsFilter", filtered)
lake.add("ListDataCellsFilter", _filters, below("DataCellsFilters", "Name VersionId ColumnNames"))
lake.add(
    "GetTemporaryGlueTableCredentials",
    _vended,
    "AccessKeyId SecretAccessKey SessionToken Expiration",
)
