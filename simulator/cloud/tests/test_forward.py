"""What moto keeps for us: boto3's view of it, and what is never forwarded."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import simpy

from simulator.cloud import validation
from simulator.cloud.context import Context
from simulator.cloud.errors import NotSupportedByTwin
from simulator.cloud.forward import Forwarder
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


def clients(forwarder: Forwarder, context: Context, *names: str) -> list[Any]:
    def execute(service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        found = forwarder.operations(service).get(operation)
        if found is None:
            raise NotSupportedByTwin(f"{service}:{operation}")
        answer: dict[str, Any] = found.execute(Call(ROOT, params))
        if isinstance(answer, simpy.Event):
            answer = context.engine.run(answer)
        return answer

    return [client_of(name, execute) for name in names]


def test_a_queues_policy_is_asked_here_and_kept_there(
    forwarder: Forwarder, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sqs,) = clients(forwarder, context, "sqs")
    arn = "arn:aws:sqs:us-east-1:000000000000:q"
    statement: dict[str, Any] = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn}
    statement["Principal"] = {"Service": "sns.amazonaws.com"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    put: list[str] = []
    monkeypatch.setattr(
        context.iam, "put_resource_policy", lambda arn, document: put.append(arn), raising=False
    )
    queue = sqs.create_queue(QueueName="q", Attributes={"Policy": policy})["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    assert put == [arn, arn]
    shown = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])
    assert json.loads(shown["Attributes"]["Policy"])["Statement"][0]["Resource"] == arn
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "60"})
    kept = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])
    assert kept["Attributes"] == shown["Attributes"]
    gone: list[str] = []
    monkeypatch.setattr(context.iam, "remove_resource_policy", gone.append, raising=False)
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": ""})
    shown = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])
    assert "Policy" not in shown.get("Attributes", {})
    assert gone == [arn]


def test_a_long_poll_waits_on_the_clock_of_the_run(forwarder: Forwarder, context: Context) -> None:
    (sqs,) = clients(forwarder, context, "sqs")
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]

    def send_later() -> Any:
        yield context.engine.env.timeout(7.5)
        forwarder.call("sqs", "SendMessage", {"QueueUrl": queue, "MessageBody": "late"})

    context.engine.process(send_later())
    found = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20)["Messages"]
    assert [one["Body"] for one in found] == ["late"]
    assert context.engine.env.now == 8.0
    assert "Messages" not in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20)
    assert context.engine.env.now == 28.0


def test_parameters_are_kept(forwarder: Forwarder, context: Context) -> None:
    (ssm,) = clients(forwarder, context, "ssm")
    ssm.put_parameter(Name="/fleetwin/dev/raw-bucket", Value="b", Type="String")
    assert ssm.get_parameter(Name="/fleetwin/dev/raw-bucket")["Parameter"]["Value"] == "b"
    found = ssm.get_parameters_by_path(Path="/fleetwin", Recursive=True)["Parameters"]
    assert [one["Name"] for one in found] == ["/fleetwin/dev/raw-bucket"]


def test_errors_come_back_with_the_codes_of_aws(forwarder: Forwarder, context: Context) -> None:
    sqs, ssm = clients(forwarder, context, "sqs", "ssm")
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="none")
    with pytest.raises(ssm.exceptions.ParameterNotFound):
        ssm.get_parameter(Name="/none")


def test_a_new_forwarder_knows_nothing_and_draws_the_same_ids(context: Context) -> None:
    ids = []
    for _ in range(2):
        forwarder = Forwarder(context, seed=7)
        (kms,) = clients(forwarder, context, "kms")
        assert kms.list_keys()["Keys"] == []
        ids.append(kms.create_key()["KeyMetadata"]["KeyId"])
    assert ids[0] == ids[1]


def test_a_key_is_named_by_its_alias_and_its_ciphertext(
    forwarder: Forwarder, context: Context
) -> None:
    (kms,) = clients(forwarder, context, "kms")
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
            "sqs",
            "SendMessage",
            {"QueueUrl": "http://127.0.0.1:9/000000000000/q"},
            ["arn:aws:sqs:us-east-1:000000000000:q"],
        ),
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
