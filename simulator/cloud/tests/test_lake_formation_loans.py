"""Lake Formation lends at most what the role may do that a location was registered with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.errors import AccessDenied
from simulator.cloud.job_files import mounts_for
from simulator.cloud.tests.test_lake_formation import ACCOUNT, TABLE, House, role_arn

REGISTRAR = role_arn("registrar")
ACTIONS = ("s3:GetObject", "s3:ListBucket")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "state")
    made.grant("analyst", TABLE, "SELECT")
    yield made
    made.cloud.close()


def deny(house: House, action: str) -> None:
    statement = {"Effect": "Deny", "Action": action, "Resource": "*"}
    house.cloud.iam.put_role_policy(REGISTRAR, "deny", {"Statement": statement})


def denied_places(house: House) -> tuple[str, ...]:
    job, permissions = house.principal("analyst"), house.cloud.lake_formation.permissions
    return mounts_for(house.cloud.context, job, [], permissions)["lake"].denied


@pytest.mark.parametrize("action", ACTIONS)
def test_a_job_does_not_see_a_table_that_the_registered_role_may_not_read(
    house: House, action: str
) -> None:
    assert denied_places(house) == ()
    deny(house, action)
    assert denied_places(house) == ("readings",)
    observed = house.cloud.iam.observed
    assert [each.action for each in observed if not each.allowed] == [action]


def test_a_role_that_lake_formation_may_not_be_lends_nothing(house: House) -> None:
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "glue.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    house.cloud.iam.put_role(REGISTRAR, {"Statement": trust}, {})
    assert denied_places(house) == ("readings",)


@pytest.mark.parametrize("action", ["", *ACTIONS])
def test_credentials_reach_no_further_than_the_registered_role(house: House, action: str) -> None:
    house.lf("PutDataLakeSettings", DataLakeSettings={"AllowFullTableExternalDataAccess": True})
    if action:
        deny(house, action)
    arn = f"arn:aws:glue:us-east-1:{ACCOUNT}:table/plant/readings"
    operation = "GetTemporaryGlueTableCredentials"
    vended = house.as_role("analyst", "lakeformation", operation, TableArn=arn)
    session = house.cloud.iam.principal_for_key(vended["AccessKeyId"], "s3")
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "s3:GetObject": ("GetObject", {"Bucket": "lake", "Key": "readings/0.jsonl"}),
        "s3:ListBucket": ("ListObjectsV2", {"Bucket": "lake", "Prefix": "readings/"}),
    }
    for each, (operation, params) in calls.items():
        if each == action:
            with pytest.raises(AccessDenied):
                house.cloud.dispatch(session, "s3", operation, params)
        else:
            house.cloud.dispatch(session, "s3", operation, params)
