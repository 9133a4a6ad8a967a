"""Databases and tables of the Glue Data Catalog (jobs are in the table of `declared`).

The catalog outlives a twin. What an earlier one left is updated to the template, as a stack's
update does: a table is left alone whose template has not changed, whatever columns a job has
added to it since.
"""

from __future__ import annotations

from typing import Any

from simulator.cloud.resources.declarations import enforced, honoured
from simulator.cloud.resources.mapping import Outcome, Resource, maps


@maps(
    "AWS::Glue::Database",
    {
        "CatalogId": enforced("test_glue_catalog.test_what_is_not_here_is_refused_by_name"),
        "DatabaseInput": honoured("test_glue_catalog.test_names_are_folded_to_lower_case"),
    },
)
def database(resource: Resource) -> Outcome:
    """Create a catalog database, or update the one of an earlier run."""
    values = resource.properties.rest()
    params = resource.fit("glue", "CreateDatabase", values)
    name = params.get("DatabaseInput", {}).get("Name")
    if name is None:
        raise resource.error("DatabaseInput.Name", "is missing")
    if _exists(resource, "GetDatabase", {"Name": name}):
        _update(resource, "UpdateDatabase", {"Name": name, **params})
        resource.note("glue", "CreateDatabase", params, {})
    else:
        resource.call("glue", "CreateDatabase", params)
    return str(name), {"Arn": resource.context.arn("glue", f"database/{name}")}


@maps(
    "AWS::Glue::Table",
    {
        "CatalogId": enforced("test_glue_catalog.test_what_is_not_here_is_refused_by_name"),
        "DatabaseName": honoured("test_glue_catalog.test_names_are_folded_to_lower_case"),
        "TableInput": honoured(
            "test_lake_query.test_lines_of_a_projected_table_need_no_registration"
        ),
    },
)
def table(resource: Resource) -> Outcome:
    """Create a catalog table, or update the one of an earlier run."""
    values = resource.properties.rest()
    params = resource.fit("glue", "CreateTable", values)
    name = params.get("TableInput", {}).get("Name")
    if name is None:
        raise resource.error("TableInput.Name", "is missing")
    where = {"DatabaseName": params["DatabaseName"]}
    if not _exists(resource, "GetTable", {**where, "Name": name}):
        resource.call("glue", "CreateTable", params)
    else:
        if not _had(resource, {**where, "TableName": name}, params["TableInput"]):
            _update(resource, "UpdateTable", params)
        resource.note("glue", "CreateTable", params, {})
    arn = resource.context.arn("glue", f"table/{params['DatabaseName']}/{name}")
    return str(name), {"Arn": arn}


def _exists(resource: Resource, operation: str, params: dict[str, Any]) -> bool:
    known = (resource.context.state / "glue" / "catalog.json").exists()
    return known and resource.exists("glue", operation, params, "EntityNotFoundException")


def _update(resource: Resource, operation: str, params: dict[str, Any]) -> None:
    """Update what an earlier twin left; it counts as created, so the call itself is not noted."""
    resource.call("glue", operation, params)
    resource.made.pop()


def _had(resource: Resource, table: dict[str, Any], given: dict[str, Any]) -> bool:
    """Tell whether the newest version or an archived one is what the template says."""
    versions = resource.call("glue", "GetTableVersions", table)["TableVersions"]
    wanted = {**given, "Name": given["Name"].lower()}
    return any(
        {name: version["Table"].get(name) for name in wanted} == wanted for version in versions
    )
