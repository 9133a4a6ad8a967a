"""What a run used of its grants: against the decision function itself, and after a twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cloud import iam_store, iam_usage
from simulator.cloud.errors import AccessDenied
from simulator.cloud.iam import Iam
from simulator.cloud.iam_usage import judge

ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"
TRUST = {
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
}
ACTIONS = ("s3:GetObject", "s3:PutObject", "sns:Publish")
RESOURCES = ("arn:aws:s3:::b/x/1", "arn:aws:s3:::b/y", "arn:aws:sns:us-east-1:0:t")
PATTERNS = ("arn:aws:s3:::b/*", "arn:aws:s3:::b/x/*", "*", RESOURCES[2])

statements = st.lists(
    st.builds(
        lambda number, action, resource: {
            "Sid": f"S{number}",
            "Effect": "Allow",
            "Action": action,
            "Resource": resource,
        },
        st.integers(0, 99),
        st.sampled_from((*ACTIONS, "s3:*")),
        st.sampled_from(PATTERNS),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda statement: str(statement["Sid"]),
)
requests = st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from(RESOURCES)), max_size=6)


def account(documents: list[dict[str, Any]]) -> Iam:
    iam = Iam(ACCOUNT)
    iam.put_role(ROLE, TRUST, {"p": {"Statement": documents}})
    return iam


def ask(iam: Iam, asked: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Ask for everything, and return what was denied."""
    principal = iam.principal_for_role(ROLE, "s")
    denied = set()
    for action, resource in asked:
        try:
            iam.authorise(principal, action, resource)
        except AccessDenied:
            denied.add((action, resource))
    return denied


@given(documents=statements, asked=requests)
def test_without_the_unused_grants_the_same_requests_have_the_same_answers(
    documents: list[dict[str, Any]], asked: list[tuple[str, str]]
) -> None:
    iam = account(documents)
    denied = ask(iam, asked)
    usage = judge(iam_usage.grants_of(iam.history), iam.observed)
    unused = {grant.sid for grant in usage.unused}
    assert len(usage.used) + len(usage.unused) == len(documents)
    assert {(action, resource) for _, action, resource in usage.denied} == denied
    kept = [each for each in documents if each["Sid"] not in unused]
    if kept:
        assert ask(account(kept), asked) == denied
    else:
        assert denied == set(asked)


@given(documents=statements, asked=requests)
def test_a_used_grant_that_stands_alone_is_needed(
    documents: list[dict[str, Any]], asked: list[tuple[str, str]]
) -> None:
    (alone, *_) = documents
    iam = account([alone])
    denied = ask(iam, asked)
    usage = judge(iam_usage.grants_of(iam.history), iam.observed)
    assert bool(usage.used) == (set(asked) - denied != set())


def test_a_question_that_is_answered_with_no_is_no_denied_call() -> None:
    iam = account([{"Effect": "Allow", "Action": "sns:Publish", "Resource": "*"}])
    principal = iam.principal_for_role(ROLE, "s")
    assert iam.may(principal, "sns:Publish", RESOURCES[2])
    assert not iam.may(principal, "s3:GetObject", RESOURCES[0])
    assert not [each for each in iam.observed if not each.allowed]
    # What is then asked for in earnest is, although its answer is remembered.
    with pytest.raises(AccessDenied):
        iam.authorise(principal, "s3:GetObject", RESOURCES[0])
    assert not iam.may(principal, "s3:GetObject", RESOURCES[0])
    assert len([each for each in iam.observed if not each.allowed]) == 1


def test_what_a_twin_leaves_is_read_back_and_what_it_has_not_left_is_missed(
    tmp_path: Path,
) -> None:
    with pytest.raises(FileNotFoundError):
        iam_usage.load(tmp_path)
    iam = account(
        [{"Effect": "Allow", "Action": ["sns:Publish", "sqs:SendMessage"], "Resource": "*"}]
    )
    ask(iam, [("sns:Publish", RESOURCES[2]), ("s3:GetObject", RESOURCES[0])])
    iam_store.save(iam, tmp_path)
    iam_usage.save(iam, tmp_path)
    usage = iam_usage.load(tmp_path)
    assert [grant.action for grant in usage.used] == ["sns:Publish"]
    assert [grant.action for grant in usage.unused] == ["sqs:SendMessage"]
    assert usage.denied == ((ROLE, "s3:GetObject", RESOURCES[0]),)


def test_a_second_twin_on_the_folder_adds_to_what_the_first_used(tmp_path: Path) -> None:
    statements = [
        {"Effect": "Allow", "Action": ["sns:Publish", "sqs:SendMessage"], "Resource": "*"}
    ]
    for action in ("sns:Publish", "sqs:SendMessage"):
        iam = account(statements)
        ask(iam, [(action, RESOURCES[2])])
        iam_store.save(iam, tmp_path)
        iam_usage.save(iam, tmp_path)
    usage = iam_usage.load(tmp_path)
    assert {grant.action for grant in usage.used} == {"sns:Publish", "sqs:SendMessage"}
    assert usage.unused == ()
