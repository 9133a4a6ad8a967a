"""Cassettes: recorded, replayed, compared; and no call leaves this machine unasked."""

from __future__ import annotations

import dataclasses
import re
import socket
import warnings
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from simulator.cli_commands import app
from simulator.cloud.remote_endpoint import RemoteEndpoint
from simulator.errors import EnvironmentMissing, ParityError
from simulator.parity.cassette import Cassette, Step, plain, rich
from simulator.parity.conversation import STEPS
from simulator.parity.normal import Normaliser, differences, same_error
from simulator.parity.recorder import Partner, record, replay
from simulator.targets import clients_of
from simulator.testing.twin import Twin

COMMITTED = Path(__file__).with_name("cassettes") / "embedded.jsonl"
LOCALSTACKS = COMMITTED.with_name("localstack.jsonl")
OTHERWISE_ON_LOCALSTACK = {
    # Its Kinesis has words of its own; those of the twin are AWS's.
    "the same stream again": ["Message"],
    "a shard that is not there": ["Message"],
    "a stream that is not there": ["Message"],
    # It fails on it, where AWS refuses it.
    "an iterator that is none": ["Code", "Status", "Message"],
}
"""Steps that LocalStack 4.14.0 answers otherwise, with the members that differ."""
DAY = date(2026, 11, 29)
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail every connection of this process that would leave the machine, and every look-up."""
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def guarded(self: socket.socket, address: Any) -> None:
        assert isinstance(address, str) or address[0] in LOOPBACK, f"a call to {address}"
        connect(self, address)

    def looked_up(host: Any, *arguments: Any, **named: Any) -> Any:
        assert host in LOOPBACK, f"a look-up of {host}"
        return resolve(host, *arguments, **named)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", looked_up)


@pytest.fixture
def embedded(fleetwin: Twin) -> Partner:
    """Return the embedded twin as a partner."""
    engine = fleetwin.target.cloud.engine
    return Partner("embedded", "us-east-1", fleetwin.client, fleetwin.advance, engine.epoch_s)


@pytest.fixture(scope="module")
def other() -> Iterator[str]:
    """Return the endpoint of another emulator on this machine: moto, in place of LocalStack."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from moto.server import ThreadedMotoServer

        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


def test_the_committed_cassette_is_answered_as_recorded(embedded: Partner) -> None:
    cassette = Cassette.load(COMMITTED)
    assert [each.step for each in cassette.played] == list(STEPS), "record it again"
    assert replay(cassette, embedded, "another-name") == []


def test_localstacks_cassette_is_answered_as_recorded_but_for_what_is_known(
    embedded: Partner,
) -> None:
    cassette = Cassette.load(LOCALSTACKS)
    assert cassette.target == "localstack"
    wanted = [step for step in STEPS if step.service in cassette.billable]
    assert [each.step for each in cassette.played] == wanted, "record it again"
    # Without a network LocalStack has no DynamoDB.
    assert {step.service for step in STEPS} - {step.service for step in wanted} <= {"dynamodb"}
    found = {each.step: each.lines for each in replay(cassette, embedded, "another-name")}
    assert {name: [line.partition(":")[0] for line in lines] for name, lines in found.items()} == (
        OTHERWISE_ON_LOCALSTACK
    )


def test_no_cassette_names_the_machine_that_recorded_it() -> None:
    for path in COMMITTED.parent.glob("*.jsonl"):
        text = path.read_text("utf-8")
        assert not re.findall(r"127\.0\.0\.1|localhost|:\d{4,5}/|/home/|/root/|/tmp/", text)
        assert len(text) < (150_000 if '"report"' in text else 50_000)


def test_a_recording_leaves_out_services_that_the_endpoint_lacks(
    other: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(RemoteEndpoint, "check", lambda self: ["dynamodb"])
    path = tmp_path / "c.jsonl"
    where = ["--target", "localstack", "--endpoint", other]
    words = ["parity", "record", str(path), *where, "--times", "1"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert f"{other} has no dynamodb: left out" in done.stderr
    assert "dynamodb" not in Cassette.load(path).billable


def test_a_recording_is_tidied_up_and_survives_its_file(embedded: Partner, tmp_path: Path) -> None:
    cassette = record(embedded, STEPS, "fleetwin-parity", DAY)
    assert not [
        n for n in embedded.client("kinesis").list_streams()["StreamNames"] if "parity" in n
    ]
    assert not [
        each
        for each in embedded.client("s3").list_buckets()["Buckets"]
        if each["Name"].startswith("fleetwin-parity")
    ]
    cassette.save(tmp_path / "c.jsonl")
    assert Cassette.load(tmp_path / "c.jsonl") == cassette
    assert sum(each["requests"] for each in cassette.billable.values()) >= len(STEPS)


def test_another_emulators_answers_are_recorded_and_its_differences_are_told(
    other: str, embedded: Partner
) -> None:
    clients = clients_of("localstack", "us-east-1", other)
    partner = Partner("localstack", "us-east-1", clients, lambda _: None, lambda: 0.0)
    cassette = record(partner, STEPS, "fleetwin-parity-x", DAY)
    found = {each.step: each.lines for each in replay(cassette, embedded, "fleetwin-parity")}
    # moto fails on an iterator that is none, where AWS and the twin refuse it.
    assert "Code: 'InvalidArgumentException', was '500'" in found["an iterator that is none"]
    assert "both or none" not in found
    assert 1 < len(found) < len(STEPS) / 2


# Differences of a cassette, found


def changed(cassette: Cassette, step: str, **changes: Any) -> Cassette:
    """Return a cassette on which one step went otherwise."""
    played = [
        dataclasses.replace(each, **changes) if each.step.name == step else each
        for each in cassette.played
    ]
    return dataclasses.replace(cassette, played=tuple(played))


def test_each_kind_of_difference_is_found_in_its_step(embedded: Partner) -> None:
    cassette = Cassette.load(COMMITTED)
    refused = {"Code": "NoSuchKey", "Message": "x", "Status": 404}
    cassette = changed(cassette, "a part of it", answer=None, error=refused)
    cassette = changed(cassette, "no such key", answer={}, error=None)
    cassette = changed(cassette, "a record", answer={"SequenceNumber": "<SequenceNumber 9>"})
    wrong = {"Code": "BadThing", "Message": "The conditional request failed", "Status": 400}
    cassette = changed(cassette, "that is not new", error=wrong)
    found = {each.step: each.lines for each in replay(cassette, embedded, "fleetwin-parity")}
    assert found == {
        "a part of it": ("answered, was refused: NoSuchKey x",),
        "no such key": ("refused: NoSuchKey The specified key does not exist., was answered",),
        "a record": (
            "SequenceNumber: '<SequenceNumber 1>', was '<SequenceNumber 9>'",
            "ShardId: 'shardId-000000000000', was not there",
        ),
        "that is not new": ("Code: 'ConditionalCheckFailedException', was 'BadThing'",),
    }


def test_what_never_comes_is_told_after_tidying(embedded: Partner) -> None:
    steps = (
        Step("a stream", "kinesis", "CreateStream", {"StreamName": "{run}", "ShardCount": 1}),
        Step("wait", "kinesis", "ListStreams", until=("StreamNames", []), wait_s=1.0),
        Step("not done", "kinesis", "ListShards", {"StreamName": "{run}"}),
        Step("tidy", "kinesis", "DeleteStream", {"StreamName": "{run}"}, tidies=True),
    )
    with pytest.raises(ParityError, match="did not come in 60 tries of kinesis:ListStreams"):
        record(embedded, steps, "fleetwin-parity", DAY)
    embedded.wait(60.0)
    assert "fleetwin-parity" not in embedded.client("kinesis").list_streams()["StreamNames"]


# Normalising


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.binary(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(min_size=1, max_size=4), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_values_survive_json_and_differ_from_nothing_but_others(value: Any) -> None:
    assert rich(plain(value)) == value
    assert differences(plain(value), plain(value)) == []
    assert differences({"a": plain(value)}, {}) != []


def test_accounts_regions_hosts_and_ids_do_not_matter_but_whether_ids_are_equal_does() -> None:
    def answer(account: str, region: str, first: str, second: str) -> Any:
        return Normaliser("run-1").of(
            {
                "StreamARN": f"arn:aws:kinesis:{region}:{account}:stream/run-1",
                "QueueUrl": f"https://sqs.{region}.amazonaws.com/{account}/run-1",
                "Records": [{"SequenceNumber": first}, {"SequenceNumber": second}],
                "ShardId": "shardId-000000000000",
            }
        )

    here = answer("123456789012", "eu-west-1", "1", "2")
    assert here == answer("000000000000", "us-east-1", "8", "7")
    assert here != answer("000000000000", "us-east-1", "8", "8")
    assert here["ShardId"] == "shardId-000000000000"
    assert here["QueueUrl"] == "<endpoint>/<account>/{run}"


def test_validation_errors_are_compared_as_a_set() -> None:
    one = "2 validation errors detected: Value at 'a' is bad; Value at 'b' is bad"
    assert same_error(one, "2 validation errors detected: Value at 'b' is bad; Value at 'a' is bad")
    assert not same_error(one, "1 validation error detected: Value at 'a' is bad")


# Age


@pytest.mark.parametrize(("days", "warns"), [(0, False), (180, False), (181, True), (900, True)])
def test_a_cassette_expires_with_a_warning(days: int, warns: bool) -> None:
    cassette = dataclasses.replace(Cassette.load(COMMITTED), recorded=DAY, target="aws")
    warning = cassette.warning(DAY + timedelta(days=days))
    assert (warning is not None) == warns
    assert warning is None or f"{days} days old" in warning


def test_replaying_an_old_cassette_warns_and_goes_on() -> None:
    words = ["parity", "replay", str(COMMITTED), "--today", "2036-01-01"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    assert "record it again" in done.stderr
    assert "40 of 40 steps are answered as on embedded" in done.stdout


@pytest.mark.parametrize("content", ["", "{}", '{"format": 99}', "not JSON"])
def test_a_file_that_is_no_cassette_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(content)
    with pytest.raises(ParityError, match=r"not a cassette|is not 3"):
        Cassette.load(path)


# Nothing leaves this machine unasked


def test_recording_the_twin_makes_no_session_and_no_connection_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://192.0.2.1")
    monkeypatch.setenv("AWS_PROFILE", "production")
    done = CliRunner().invoke(app, ["parity", "record", str(tmp_path / "c.jsonl")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "c.jsonl").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--target", "aws"),
        ("--target", "aws", "--endpoint", "http://127.0.0.1:1"),
        ("--target", "localstack", "--endpoint", "https://kinesis.us-east-1.amazonaws.com"),
        ("--target", "localstack", "--endpoint", "http://127.0.0.1.example.com:4566"),
        ("--target", "cloud"),
    ],
    ids=" ".join,
)
def test_a_target_elsewhere_is_refused_before_a_client_is_made(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[object] = []
    monkeypatch.setattr(boto3.session.Session, "client", lambda *a, **k: made.append(a))
    done = CliRunner().invoke(app, ["parity", "record", str(tmp_path / "c"), *words])
    assert done.exit_code != 0
    assert isinstance(done.exception, ParityError | EnvironmentMissing)
    assert made == []
    assert not (tmp_path / "c").exists()


def test_with_consent_the_clients_of_aws_have_no_endpoint_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Clients are made and asked where they would go; nothing is sent."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    client = clients_of("aws", "eu-west-1", None)("kinesis")
    assert client.meta.endpoint_url == "https://kinesis.eu-west-1.amazonaws.com"
