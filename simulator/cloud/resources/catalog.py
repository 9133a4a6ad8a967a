"""Databases and tables of the Glue Data Catalog (jobs are in the table of `declared`)."""

from __future__ import annotations

from simulator.cloud.resources.mapping import Outcome, Resource, maps


@maps("AWS::Glue::Database")
def database(resource: Resource) -> Outcome:
    """Create a catalog database."""
    values = resource.properties.rest()
    params = resource.fit("glue", "CreateDatabase", values)
    name = params.get("DatabaseInput", {}).get("Name")
    if name is None:
        raise resource.error("DatabaseInput.Name", "is missing")
    resource.call("glue", "CreateDatabase", params)
    return str(name), {"Arn": resource.context.arn("glue", f"database/{name}")}


@maps("AWS::Glue::Table")
def table(resource: Resource) -> Outcome:
    """Create a catalog table."""
    values = resource.properties.rest()
    params = resource.fit("glue", "CreateTable", values)
    name = params.get("TableInput", {}).get("Name")
    if name is None:
        raise resource.error("TableInput.Name", "is missing")
    resource.call("glue", "CreateTable", params)
    arn = resource.context.arn("glue", f"table/{params['DatabaseName']}/{name}")
    return str(name), {"Arn": arn}
