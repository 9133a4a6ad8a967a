"""Lake Formation: settings, registered locations, tags, filters and grants.

They outlive a twin, as the catalog does: what an earlier one left is set again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.cloud.errors import AwsError
from simulator.cloud.resources.declarations import enforced, honoured, kept
from simulator.cloud.resources.mapping import Outcome, Resource, maps
from simulator.cloud.validation import operation_model
from simulator.errors import TemplateError


def _check_known(
    resource: Resource, values: Mapping[str, Any], operation: str, member: str
) -> None:
    """Refuse a property that the wrapped member does not have, by the name that it has here."""
    shape: Any = operation_model("lakeformation", operation).input_shape
    for name in values:
        if name not in shape.members[member].members:
            raise resource.error(name, "property is not mapped by the twin")


def _again(resource: Resource, operation: str, params: dict[str, Any]) -> None:
    """Make one thing; that an earlier twin has made it is no error, and it counts as made."""
    try:
        resource.call("lakeformation", operation, params)
    except TemplateError as error:
        cause = error.__cause__
        is_there = isinstance(cause, AwsError) and (
            "already" in cause.message or cause.code == "AlreadyExistsException"
        )
        if not is_there:
            raise
        resource.note("lakeformation", operation, params, {})


@maps(
    "AWS::LakeFormation::DataLakeSettings",
    {
        "Admins": enforced("test_lake_formation.test_only_who_may_pass_a_permission_on_grants_it"),
        "CreateDatabaseDefaultPermissions": enforced(
            "test_lake_formation.test_without_a_grant_nothing_of_a_governed_table_is_seen"
        ),
        "CreateTableDefaultPermissions": enforced(
            "test_lake_formation.test_without_a_grant_nothing_of_a_governed_table_is_seen"
        ),
        "MutationType": kept("settings are replaced"),
    },
)
def settings(resource: Resource) -> Outcome:
    """Put the account's settings."""
    values = dict(resource.properties.rest())
    if "Admins" in values:
        values["DataLakeAdmins"] = values.pop("Admins")
    _check_known(resource, values, "PutDataLakeSettings", "DataLakeSettings")
    wrapped = {"DataLakeSettings": values}
    params = resource.fit("lakeformation", "PutDataLakeSettings", wrapped)
    resource.call("lakeformation", "PutDataLakeSettings", params)
    return "DataLakeSettings", {}


@maps(
    "AWS::LakeFormation::Resource",
    {
        "ResourceArn": enforced(
            "test_lake_formation.test_without_a_grant_nothing_of_a_governed_table_is_seen"
        ),
        "RoleArn": honoured(
            "test_lake_formation.test_credentials_are_vended_for_whole_tables_and_end"
        ),
        "UseServiceLinkedRole": honoured(
            "test_lake_formation.test_credentials_are_vended_for_whole_tables_and_end"
        ),
    },
)
def location(resource: Resource) -> Outcome:
    """Register a location."""
    params = resource.fit("lakeformation", "RegisterResource", resource.properties.rest())
    _again(resource, "RegisterResource", params)
    return str(params["ResourceArn"]), {}


@maps(
    "AWS::LakeFormation::Tag",
    {
        "CatalogId": enforced(
            "test_lake_formation.test_tags_grant_what_has_them_and_columns_may_differ"
        ),
        "TagKey": enforced(
            "test_lake_formation.test_tags_grant_what_has_them_and_columns_may_differ"
        ),
        "TagValues": enforced(
            "test_lake_formation.test_tags_grant_what_has_them_and_columns_may_differ"
        ),
    },
)
def tag(resource: Resource) -> Outcome:
    """Create a tag with its values."""
    params = resource.fit("lakeformation", "CreateLFTag", resource.properties.rest())
    _again(resource, "CreateLFTag", params)
    return str(params["TagKey"]), {}


@maps(
    "AWS::LakeFormation::TagAssociation",
    {
        "Resource": enforced(
            "test_lake_formation.test_tags_grant_what_has_them_and_columns_may_differ"
        ),
        "LFTags": enforced(
            "test_lake_formation.test_tags_grant_what_has_them_and_columns_may_differ"
        ),
    },
)
def tag_association(resource: Resource) -> Outcome:
    """Give a database, a table or columns their tags."""
    params = resource.fit("lakeformation", "AddLFTagsToResource", resource.properties.rest())
    failures = resource.call("lakeformation", "AddLFTagsToResource", params).get("Failures")
    if failures:
        # As CloudFormation: the resource fails with the first that could not be assigned.
        raise resource.error("LFTags", failures[0]["Error"]["ErrorMessage"])
    return resource.logical_id, {}


@maps(
    "AWS::LakeFormation::PrincipalPermissions",
    {
        "Catalog": enforced(
            "test_lake_formation.test_columns_that_are_granted_are_seen_and_no_others"
        ),
        "Principal": enforced(
            "test_lake_formation.test_columns_that_are_granted_are_seen_and_no_others"
        ),
        "Resource": enforced(
            "test_lake_formation.test_columns_that_are_granted_are_seen_and_no_others"
        ),
        "Permissions": enforced(
            "test_lake_formation.test_columns_that_are_granted_are_seen_and_no_others"
        ),
        "PermissionsWithGrantOption": enforced(
            "test_lake_formation.test_only_who_may_pass_a_permission_on_grants_it"
        ),
    },
)
def permissions(resource: Resource) -> Outcome:
    """Grant permissions."""
    params = resource.fit("lakeformation", "GrantPermissions", resource.properties.rest())
    resource.call("lakeformation", "GrantPermissions", params)
    return f"{resource.logical_id}", {}


@maps(
    "AWS::LakeFormation::DataCellsFilter",
    {
        "TableCatalogId": enforced(
            "test_lake_formation.test_rows_that_are_granted_are_seen_and_no_others"
        ),
        "DatabaseName": enforced(
            "test_lake_formation.test_rows_that_are_granted_are_seen_and_no_others"
        ),
        "TableName": enforced(
            "test_lake_formation.test_rows_that_are_granted_are_seen_and_no_others"
        ),
        "Name": enforced("test_lake_formation.test_rows_that_are_granted_are_seen_and_no_others"),
        "RowFilter": enforced(
            "test_lake_formation.test_rows_that_are_granted_are_seen_and_no_others"
        ),
        "ColumnNames": enforced(
            "test_lake_formation.test_rows_that_are_granted_are_seen_and_no_others"
        ),
        "ColumnWildcard": enforced(
            "test_lake_formation.test_rows_that_are_granted_are_seen_and_no_others"
        ),
    },
)
def data_cells_filter(resource: Resource) -> Outcome:
    """Create a filter of columns and rows."""
    values = resource.properties.rest()
    _check_known(resource, values, "CreateDataCellsFilter", "TableData")
    table = {"TableData": values}
    params = resource.fit("lakeformation", "CreateDataCellsFilter", table)
    _again(resource, "CreateDataCellsFilter", params)
    return str(params["TableData"]["Name"]), {}
