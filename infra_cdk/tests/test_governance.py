"""Lake Formation in the template: nothing is open to IAM alone, and few are granted anything."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from infra_cdk.config import STAGES
from infra_cdk.tests.snapshot import Body, all_role_statements, listed, resources, template, text_of
from simulator.tests.once import ungoverned_assembly

PREFIX = "AWS::LakeFormation::"
GRANTS = resources(f"{PREFIX}PrincipalPermissions")
TAGS = {
    "fleetwin-dev-zone": ["raw", "processed"],
    "fleetwin-dev-audience": ["pipeline", "reports"],
    "fleetwin-dev-sensitivity": ["internal", "personal"],
}


def what(grant: Body) -> tuple[str, str]:
    """Return the kind of what is granted, and how the logical id of it begins."""
    ((kind, resource),) = grant["Resource"].items()
    return kind, text_of(resource.get("Name", resource.get("ResourceArn", ""))).strip("<>")[:14]


def chain() -> Iterator[str]:
    """Yield the resources of Lake Formation, each after the one that it waits for."""
    bodies = template()["Resources"]
    waits = {
        logical_id: body.get("DependsOn", [])
        for logical_id, body in bodies.items()
        if body["Type"].startswith(PREFIX)
    }
    at = [logical_id for logical_id, before in waits.items() if not before]
    while at:
        (found,) = at
        yield found
        at = [logical_id for logical_id, before in waits.items() if before == [found]]


def test_new_databases_and_tables_are_closed_before_there_are_any() -> None:
    ((logical_id, settings),) = resources(f"{PREFIX}DataLakeSettings").items()
    assert settings["CreateDatabaseDefaultPermissions"] == []
    assert settings["CreateTableDefaultPermissions"] == []
    assert settings["MutationType"] == "REPLACE"
    (database,) = (
        body for body in template()["Resources"].values() if body["Type"] == "AWS::Glue::Database"
    )
    assert database["DependsOn"] == [logical_id]


def test_whoever_deploys_administers_and_a_person_if_one_is_named() -> None:
    (settings,) = resources(f"{PREFIX}DataLakeSettings").values()
    deployer, person = settings["Admins"]
    name = text_of(deployer["DataLakePrincipalIdentifier"])
    assert ":role/cdk-hnb659fds-cfn-exec-role-" in name
    condition, named, otherwise = person["Fn::If"]
    assert named == {"DataLakePrincipalIdentifier": {"Ref": "LakeAdministrator"}}
    assert otherwise == {"Ref": "AWS::NoValue"}
    judged = template()["Conditions"][condition]
    assert judged == {"Fn::Not": [{"Fn::Equals": [{"Ref": "LakeAdministrator"}, ""]}]}
    assert template()["Parameters"]["LakeAdministrator"]["Default"] == ""


def test_one_thing_is_made_at_a_time_and_grants_come_last() -> None:
    order = [template()["Resources"][logical_id]["Type"] for logical_id in chain()]
    everything = [
        body["Type"] for body in template()["Resources"].values() if body["Type"].startswith(PREFIX)
    ]
    assert sorted(order) == sorted(everything)
    kinds = list(dict.fromkeys(kind.removeprefix(PREFIX) for kind in order))
    assert kinds == [
        "DataLakeSettings",
        "Resource",
        "Tag",
        "TagAssociation",
        "PrincipalPermissions",
    ]


def test_the_registered_role_reads_the_tables_and_writes_nothing() -> None:
    statements = [
        statement for role, statement in all_role_statements() if role.endswith("-lake-formation")
    ]
    assert {each for one in statements for each in listed(one["Action"])} == {
        "s3:GetObject",
        "s3:ListBucket",
    }
    (lent,) = (one for one in statements if one["Action"] == "s3:GetObject")
    folders = {text_of(each).rpartition(">/")[2] for each in lent["Resource"]}
    locations = {
        text_of(body["TableInput"]["StorageDescriptor"]["Location"])
        for body in resources("AWS::Glue::Table").values()
    }
    of_processed = {
        text.rpartition(">/")[2] for text in locations if text.startswith("s3://<LakeProcessed")
    }
    assert folders == {f"{folder}*" for folder in of_processed}


def test_a_job_is_granted_its_own_table_and_the_reports_what_is_meant_for_them() -> None:
    named = {
        (text_of(each["Principal"]["DataLakePrincipalIdentifier"]).strip("<>")[:8], *what(each)): (
            tuple(each["Permissions"])
        )
        for each in GRANTS.values()
    }
    assert named == {
        ("Features", "Table", "CatalogFeature"): ("ALTER", "DESCRIBE", "INSERT", "SELECT"),
        ("Features", "DataLocation", "LakeProcessedF"): ("DATA_LOCATION_ACCESS",),
        ("BatchJob", "Table", "CatalogScoresT"): ("DESCRIBE", "INSERT"),
        ("BatchJob", "DataLocation", "LakeProcessedF"): ("DATA_LOCATION_ACCESS",),
        ("QuickSig", "Database", "CatalogDatabas"): ("DESCRIBE",),
        ("QuickSig", "LFTagPolicy", ""): ("DESCRIBE", "SELECT"),
    }
    assert all(each["PermissionsWithGrantOption"] == [] for each in GRANTS.values())


def test_a_grant_to_the_reports_is_there_only_with_their_principal() -> None:
    bodies = template()["Resources"]
    conditions = {
        text_of(grant["Principal"]["DataLakePrincipalIdentifier"]): bodies[logical_id].get(
            "Condition"
        )
        for logical_id, grant in GRANTS.items()
    }
    reports = conditions.pop("<QuickSightPrincipal>")
    assert template()["Conditions"][reports] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "QuickSightPrincipal"}, ""]}]
    }
    assert set(conditions.values()) == {None}


def test_a_tag_is_created_before_it_is_given_and_says_its_stage() -> None:
    created = {tag["TagKey"]: tag["TagValues"] for tag in resources(f"{PREFIX}Tag").values()}
    assert created == TAGS
    for association in resources(f"{PREFIX}TagAssociation").values():
        for pair in association["LFTags"]:
            assert set(pair["TagValues"]) <= set(TAGS[pair["TagKey"]])


def test_the_columns_about_people_are_columns_of_the_work_orders() -> None:
    (table,) = (
        body["TableInput"]
        for body in resources("AWS::Glue::Table").values()
        if body["TableInput"]["Name"] == "maintenance"
    )
    names = {column["Name"] for column in table["StorageDescriptor"]["Columns"]}
    (personal,) = (
        association["Resource"]["TableWithColumns"]["ColumnNames"]
        for association in resources(f"{PREFIX}TagAssociation").values()
        if "TableWithColumns" in association["Resource"]
    )
    assert set(personal) < names


def test_every_stage_is_governed() -> None:
    assert all(config.is_lake_governed for config in STAGES.values())


def test_a_stage_may_leave_the_lake_to_iam(tmp_path_factory: pytest.TempPathFactory) -> None:
    assembly = ungoverned_assembly(tmp_path_factory)
    body = (assembly / "FleetwinDev.template.json").read_text()
    assert not [
        each for each in json.loads(body)["Resources"].values() if each["Type"].startswith(PREFIX)
    ]
    assert "lakeformation:" not in body
