"""What moto keeps for us: boto3's view of it, and what is never forwarded."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from simulator.cloud import validation
from simulator.cloud.context import Context
from simulator.cloud.errors import NotSupportedByTwin
from simulator.cloud.forward import Forwarder
from simulator.cloud.iam import Iam
from simulator.cloud.operations import Call
from simulator.cloud.tests.twin import ROOT, context_of
from simulator.cloud.tests.wire import client_of

STARTS_WORK = (
    ("ssm", "SendCommand"),
    ("sts", "AssumeRole"),
)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return context_of(tmp_path)


@pytest.fixture
def forwarder(context: Context) -> Forwarder:
    return Forwarder(context)


def clients(forwarder: Forwarder, *names: str) -> list[Any]:
    def execute(service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        found = forwarder.operations(service).get(operation)
        if found is None:
            raise NotSupportedByTwin(f"{service}:{operation}")
        answer: dict[str, Any] = found.execute(Call(ROOT, params))
        return answer

    return [client_of(name, execute) for name in names]


def test_parameters_are_kept(forwarder: Forwarder) -> None:
    (ssm,) = clients(forwarder, "ssm")
    ssm.put_parameter(Name="/fleetwin/dev/raw-bucket", Value="b", Type="String")
    assert ssm.get_parameter(Name="/fleetwin/dev/raw-bucket")["Parameter"]["Value"] == "b"
    found = ssm.get_parameters_by_path(Path="/fleetwin", Recursive=True)["Parameters"]
    assert [one["Name"] for one in found] == ["/fleetwin/dev/raw-bucket"]


def test_errors_come_back_with_the_codes_of_aws(forwarder: Forwarder) -> None:
    (ssm,) = clients(forwarder, "ssm")
    with pytest.raises(ssm.exceptions.ParameterNotFound):
        ssm.get_parameter(Name="/none")


def test_reads_of_iam_answer_with_what_templates_made_up_to_then(
    context: Context,
) -> None:
    context.iam = Iam(context.account, context.region)
    (iam,) = clients(Forwarder(context), "iam")
    role = f"arn:aws:iam::{context.account}:role/service/reader"
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    may = {"Version": "2012-10-17", "Statement": [statement]}
    service = {"Service": "glue.amazonaws.com"}
    trust = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": service}]}
    context.iam.put_role(role, trust, {"inline": may})
    shown = iam.get_role(RoleName="reader")["Role"]
    assert (shown["Arn"], shown["Path"]) == (role, "/service/")
    assert iam.get_role_policy(RoleName="reader", PolicyName="inline")["PolicyDocument"] == may
    context.iam.put_role_policy(role, "more", may)
    assert iam.list_role_policies(RoleName="reader")["PolicyNames"] == ["inline", "more"]
    basic = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    context.iam.attach(role, basic)
    attached = iam.list_attached_role_policies(RoleName="reader")["AttachedPolicies"]
    assert [each["PolicyArn"] for each in attached] == [basic]
    context.iam.remove_role(role)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_role(RoleName="reader")


def test_a_new_forwarder_knows_nothing_and_draws_the_same_ids(context: Context) -> None:
    ids = []
    for _ in range(2):
        forwarder = Forwarder(context, seed=7)
        (kms,) = clients(forwarder, "kms")
        assert kms.list_keys()["Keys"] == []
        ids.append(kms.create_key()["KeyMetadata"]["KeyId"])
    assert ids[0] == ids[1]


def test_a_key_is_named_by_its_alias_and_its_ciphertext(
    forwarder: Forwarder, context: Context
) -> None:
    (kms,) = clients(forwarder, "kms")
    key = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/x", TargetKeyId=key["KeyId"])
    secret = kms.encrypt(KeyId="alias/x", Plaintext=b"hello")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=secret)["Plaintext"] == b"hello"
    table = forwarder.operations("kms")
    assert list(table["Encrypt"].resources({"KeyId": "alias/x"})) == [key["Arn"]]
    assert list(table["Decrypt"].resources({"CiphertextBlob": secret})) == [key["Arn"]]


@pytest.mark.parametrize(("service", "operation"), STARTS_WORK)
def test_what_starts_work_is_never_forwarded(
    forwarder: Forwarder, service: str, operation: str
) -> None:
    assert operation not in forwarder.operations(service)
    with pytest.raises(NotSupportedByTwin, match=f"{service}:{operation}"):
        forwarder.call(service, operation, {})


def test_everything_listed_exists_in_aws_and_in_moto(forwarder: Forwarder) -> None:
    from moto.core.utils import camelcase_to_underscores

    for service in forwarder.services():
        module = importlib.import_module(f"moto.{service}.responses")
        methods = {name for one in vars(module).values() for name in dir(one)}
        for operation in forwarder.operations(service):
            assert validation.operation_model(service, operation)
            assert camelcase_to_underscores(operation) in methods, f"{service}:{operation}"


@pytest.mark.parametrize(
    ("service", "operation", "params", "arns"),
    [
        (
            "ssm",
            "GetParameters",
            {"Names": ["/a/b", "c"]},
            [
                "arn:aws:ssm:us-east-1:000000000000:parameter/a/b",
                "arn:aws:ssm:us-east-1:000000000000:parameter/c",
            ],
        ),
    ],
)
def test_iam_is_asked_about_the_right_resource(
    forwarder: Forwarder, service: str, operation: str, params: dict[str, Any], arns: list[str]
) -> None:
    assert list(forwarder.operations(service)[operation].resources(params)) == arns
