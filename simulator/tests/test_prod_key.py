"""The key of the stage prod: each role can do its work under it, and not without its grant."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud.cloud import Cloud
from simulator.cloud.errors import AwsError
from simulator.cloud.operations import Principal
from simulator.progress import Progress
from simulator.run import Options, WorkflowFailed, run
from simulator.scenario import Scenario
from simulator.tests.once import prod_assembly

START = datetime(2026, 1, 5, tzinfo=UTC)
TEMPLATE = "FleetwinProd.template.json"
GRANTS = ("UseKeyOfLake", "UseKeyOfStream")
STREAM = "fleetwin-prod-telemetry"

Document = Mapping[str, Any]


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an assembly of the stage prod that a test may change."""
    folder = tmp_path_factory.mktemp("stages") / "prod"
    return Path(shutil.copytree(prod_assembly(tmp_path_factory), folder))


@pytest.fixture(scope="module")
def cloud(prod: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Return a twin of prod."""
    made = Cloud(START, tmp_path_factory.mktemp("twin"))
    try:
        made.boot(prod, {}, prewarmed=False)
        yield made
    finally:
        made.close()


def documents(cloud: Cloud) -> dict[str, Document]:
    """Return the policy of each role that has something of the key, by the role's ARN."""
    found = {}
    for method, arguments in cloud.iam.history:
        if method == "put_role":
            document = arguments[2].get("permissions", {"Statement": []})
            if any(one.get("Sid") in GRANTS for one in document["Statement"]):
                found[arguments[0]] = document
    return found


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def steps(cloud: Cloud, document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield what a role does under the key: service, operation and parameters."""
    for statement in document["Statement"]:
        for action in listed(statement["Action"]):
            for resource in listed(statement["Resource"]):
                bucket, _, key = resource.rpartition(":")[2].replace("*", "x").partition("/")
                place = {"Bucket": bucket, "Key": key}
                if action == "s3:PutObject":
                    yield "s3", "PutObject", {**place, "Body": b"x"}
                # Code lies in the bucket of the deployment, which has another key.
                elif action == "s3:GetObject" and bucket.startswith("fleetwin-"):
                    cloud.call("s3", "PutObject", **place, Body=b"x")
                    yield "s3", "GetObject", place
                elif action == "kinesis:PutRecord":
                    record = {"Data": b"x", "PartitionKey": "k"}
                    yield "kinesis", action.partition(":")[2], {"StreamName": STREAM, **record}
                elif action == "kinesis:GetRecords":
                    yield "kinesis", "GetRecords", {"ShardIterator": iterator(cloud)}


def iterator(cloud: Cloud) -> str:
    cloud.engine.run(cloud.engine.env.now + 1.0)  # A shard is read five times a second.
    where = {"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
    answer = cloud.call("kinesis", "GetShardIterator", StreamName=STREAM, **where)
    return str(answer["ShardIterator"])


def refused(cloud: Cloud, role: str, document: Document) -> list[tuple[str, str]]:
    """Return (operation, code and words) of every step of a role that is refused."""
    caller = Principal(role.replace(":role/", ":assumed-role/") + "/test", role)
    found = []
    for service, operation, params in steps(cloud, document):
        try:
            cloud.dispatch(caller, service, operation, params)
        except AwsError as error:
            found.append((operation, str(error)))
    return found


def test_every_role_does_its_steps_under_the_key_and_none_without_its_grant(cloud: Cloud) -> None:
    roles = documents(cloud)
    assert len(roles) >= 13
    for role, document in roles.items():
        assert refused(cloud, role, document) == []
        for grant in (one for one in document["Statement"] if one.get("Sid") in GRANTS):
            for action in listed(grant["Action"]):
                rest = [one for one in document["Statement"] if one is not grant]
                others = [one for one in listed(grant["Action"]) if one != action]
                if others:
                    rest.append({**grant, "Action": others})
                cloud.iam.put_role_policy(role, "permissions", {"Statement": rest})
                denied = refused(cloud, role, document)
                assert denied, f"{role} has no use for {action} in {grant['Sid']}"
                for operation, told in denied:
                    assert "AccessDenied" in told
                    assert action in told or (operation == "GetRecords" and "decrypt" in told)
        cloud.iam.put_role_policy(role, "permissions", document)


def test_nobody_decrypts_with_a_call_to_kms_itself(cloud: Cloud) -> None:
    (key,) = cloud.call("kms", "ListKeys")["Keys"]
    secret = cloud.call("kms", "Encrypt", KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    for role in documents(cloud):
        with pytest.raises(AwsError, match="AccessDenied"):
            cloud.dispatch(Principal(role, role), "kms", "Decrypt", {"CiphertextBlob": secret})


@pytest.mark.slow
def test_the_features_job_without_its_grant_fails_the_workflow(prod: Path, tmp_path: Path) -> None:
    template = json.loads((prod / TEMPLATE).read_text())
    for resource in template["Resources"].values():
        if resource.get("Properties", {}).get("RoleName") == "fleetwin-prod-features-job":
            (policy,) = resource["Properties"]["Policies"]
            statements = policy["PolicyDocument"]["Statement"]
            statements[:] = [one for one in statements if one["Sid"] not in GRANTS]
    original = (prod / TEMPLATE).read_text()
    try:
        (prod / TEMPLATE).write_text(json.dumps(template))
        short = replace(Scenario.load("tiny"), history_s=60.0)
        options = Options(short, tmp_path, progress=Progress(), assembly=prod)
        with pytest.raises(WorkflowFailed, match=r"features-job/\S+ is not .* kms:Decrypt on"):
            run(options)
    finally:
        (prod / TEMPLATE).write_text(original)
