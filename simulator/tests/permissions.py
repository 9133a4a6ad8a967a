"""What fails without each statement of each role: the calls of `recorded_calls`, judged by `Iam`.

Used by `test_statement_removal`. The table for people is `golden/permissions.md`; to make it anew:

    python -m simulator.tests.permissions
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from simulator.cloud.asl_notices import DELIVERY
from simulator.cloud.assembly import load_assembly
from simulator.cloud.cloud import Cloud
from simulator.cloud.iam import Iam
from simulator.cloud.operations import Principal
from simulator.cloud.template import deploy
from simulator.targets import SNAPSHOT
from simulator.tests.recorded_calls import RecordedCall, golden

TABLE = Path(__file__).parent / "golden" / "permissions.md"
ACCOUNT = "000000000000"
TEMPLATE = SNAPSHOT / "FleetwinDev.template.json"
KINDS = {
    "AWS::DataSync::LocationS3": ("the DataSync location", ""),
    "AWS::Events::Rule": ("the rule", "Name"),
    "AWS::Glue::Job": ("the Glue job", "Name"),
    "AWS::IoT::TopicRule": ("the topic rule", "RuleName"),
    "AWS::LakeFormation::Resource": ("Lake Formation", ""),
    "AWS::Lambda::Function": ("the function", "FunctionName"),
    "AWS::StepFunctions::StateMachine": ("the workflow", "StateMachineName"),
}
"""Who may be a role, by resource type: how it is called, and where its name stands."""
HEAD = """# What fails without a statement

Each statement of each role of the stack `dev`: what is denied when it is taken away, and where.
Made by `python -m simulator.tests.permissions` of calls that twins really made
(`permitted_calls.json`);
`test_statement_removal.py` compares. Of the calls that the same statement allows one is named for
each action.
"""


def statements() -> Iterator[tuple[str, str]]:
    """Yield (role, Sid) of every statement in the template."""
    template = json.loads((SNAPSHOT / "FleetwinDev.template.json").read_text("utf-8"))
    for body in template["Resources"].values():
        if body["Type"] == "AWS::IAM::Role":
            properties = body["Properties"]
            assert "ManagedPolicyArns" not in properties
            for policy in properties["Policies"]:
                for statement in policy["PolicyDocument"]["Statement"]:
                    yield properties["RoleName"], statement["Sid"]


STATEMENTS = list(statements())
CALLS = golden()


class Account:
    """The permissions of a twin that has booted, and its roles' policies to be changed."""

    def __init__(self, iam: Iam) -> None:
        self.iam = iam
        self.documents: dict[str, dict[str, Mapping[str, Any]]] = {}
        for method, arguments in list(iam.history):
            if method == "put_role":
                self.documents[arguments[0]] = dict(arguments[2])
            assert method not in ("put_role_policy", "put_managed_policy", "attach")

    def denied(self, calls: list[RecordedCall]) -> list[RecordedCall]:
        """Return those of the calls that are denied."""
        return [call for call in calls if not self.iam.may(principal(call.role), *asked(call))]

    def denied_without(self, role: str, sid: str, action: str = "") -> list[RecordedCall]:
        """Return a role's calls that are denied without a statement, or one action of it."""
        arn = principal(role).role_arn
        assert arn is not None
        calls = [call for call in CALLS if call.role == role]
        documents = self.documents[arn]
        try:
            for name, document in documents.items():
                left = list(without(document["Statement"], sid, action))
                self.iam.put_role_policy(arn, name, {**document, "Statement": left})
            return self.denied(calls)
        finally:
            for name, document in documents.items():
                self.iam.put_role_policy(arn, name, document)

    def actions(self, role: str, sid: str) -> list[str]:
        """Return the actions of a statement."""
        documents = self.documents[principal(role).role_arn or ""].values()
        for statement in (each for document in documents for each in document["Statement"]):
            if statement["Sid"] == sid:
                found = statement["Action"]
                return [found] if isinstance(found, str) else list(found)
        raise KeyError(sid)


def without(statements: list[dict[str, Any]], sid: str, action: str) -> Iterator[dict[str, Any]]:
    """Yield the statements that are left without one, or with an action less in it."""
    for statement in statements:
        if statement["Sid"] != sid:
            yield statement
        elif action:
            left = [each for each in statement["Action"] if each != action]
            yield {**statement, "Action": left}


def principal(role: str) -> Principal:
    """Return a session of a role."""
    return Principal(
        f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/s", f"arn:aws:iam::{ACCOUNT}:role/{role}"
    )


def asked(call: RecordedCall) -> tuple[str, str, dict[str, str | tuple[str, ...]]]:
    """Return what `Iam.may` is asked about a call."""
    listed = {key: tuple(v) if isinstance(v, list) else v for key, v in call.context.items()}
    return call.action, call.resource, listed


@contextmanager
def account() -> Iterator[Account]:
    """Yield the permissions that the committed template gives."""
    # With the parameters that bring the roles of conditions about.
    parameters = {"MaintenanceServer": "plant", "AgentActivationKey": "-".join(["LOCAL"] * 5)}
    start = datetime(2026, 1, 5, tzinfo=UTC)
    with (
        tempfile.TemporaryDirectory(prefix="fleetwin-") as folder,
        closing(Cloud(start, Path(folder))) as twin,
    ):
        deploy(load_assembly(SNAPSHOT), twin.context, parameters)
        yield Account(twin.iam)


def users() -> dict[str, list[str]]:
    """Return by role who is it: resources of the template, or what a state hands it to."""
    resources = json.loads(TEMPLATE.read_text("utf-8"))["Resources"]
    roles = {
        name: body["Properties"]["RoleName"]
        for name, body in resources.items()
        if body["Type"] == "AWS::IAM::Role"
    }
    found: dict[str, list[str]] = {role: [] for role in roles.values()}
    for body in resources.values():
        called, named = KINDS.get(body["Type"], ("", ""))
        properties = dict(body.get("Properties", {}))
        properties.pop("DefinitionSubstitutions", None)
        if called:
            for role in {roles[each] for each in _attributes(properties) if each in roles}:
                found[role].append(f"{called} {properties.get(named, '')}".strip())
    for call in CALLS:
        if call.action == "iam:PassRole":
            told = f"what the state {call.step} of {call.role} starts"
            found[call.resource.rpartition("/")[2]].append(told)
    return found


def _attributes(value: Any) -> Iterator[str]:
    """Yield the resources whose attributes stand in a value."""
    if isinstance(value, dict):
        if "Fn::GetAtt" in value:
            yield value["Fn::GetAtt"][0]
        for each in value.values():
            yield from _attributes(each)
    elif isinstance(value, list):
        for each in value:
            yield from _attributes(each)


def where(call: RecordedCall) -> str:
    """Return what of a role's user makes a call, as far as the call tells."""
    service = call.action.partition(":")[0]
    if call.step:
        return call.step if service == "events" else f"the state {call.step}"
    if call.action.partition(":")[2] in DELIVERY:
        return "CreateStateMachine"
    if service in ("logs", "ecr"):
        return {"logs": "its log lines", "ecr": "its image"}[service]
    if call.action.startswith("kinesis:") and not call.action.startswith("kinesis:Put"):
        return "its event source mapping"
    if "/aws/lambda/" in call.resource or (call.role, call.action) in LOOKS_FOR_BUCKET:
        return "its batches that failed"
    return "itself"


LOOKS_FOR_BUCKET = {
    (f"fleetwin-dev-{name}", "s3:ListBucket") for name in ("raw-writer", "detector")
}


def table(judge: Account) -> str:
    """Return the table for people."""
    lines, known = [HEAD], users()
    for role, of_role in groupby(sorted(set(STATEMENTS)), key=lambda each: each[0]):
        lines += [f"## {role}", "", ", ".join(sorted(set(known[role]))), ""]
        lines += ["| without | is denied | at |", "|---|---|---|"]
        for _, sid in of_role:
            denied = judge.denied_without(role, sid)
            actions = sorted({call.action for call in denied})
            places = sorted({where(call) for call in denied})
            lines.append(f"| {sid} | {', '.join(actions)} | {', '.join(places)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    with account() as current:
        TABLE.write_text(table(current), "utf-8")
    print(TABLE)
