"""The reverse check: what the describe operations answer, beside what the template asks for.

`fleetwin drift` prints it for a twin that is up; tests demand that there is nothing to print after
a stack was made or changed. What no answer has is listed in `NOT_DESCRIBED` with the reason. How
each type is asked for is in `drift_answers`, `drift_lake` and `drift_roles`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from simulator.cloud.drift_answers import Ask
from simulator.cloud.drift_lake import ANSWERS
from simulator.cloud.errors import AwsError
from simulator.cloud.stack_events import Node
from simulator.cloud.stack_state import Live

URI = "the answer has it as a part of LocationUri"

NOT_DESCRIBED = {
    ("AWS::DataSync::Agent", "ActivationKey"): "used up by the activation",
    ("AWS::DataSync::LocationNFS", "ServerHostname"): URI,
    ("AWS::DataSync::LocationNFS", "Subdirectory"): URI,
    ("AWS::DataSync::LocationS3", "S3BucketArn"): URI,
    ("AWS::DataSync::LocationS3", "Subdirectory"): URI,
    ("AWS::DataSync::LocationSMB", "Password"): "secret",
    ("AWS::DataSync::LocationSMB", "ServerHostname"): URI,
    ("AWS::DataSync::LocationSMB", "Subdirectory"): URI,
    ("AWS::Lambda::Function", "Code"): "the answer has its hash",
    ("AWS::LakeFormation::Resource", "UseServiceLinkedRole"): "the answer has the role instead",
    **{
        (f"AWS::QuickSight::{kind}", "Permissions"): "there are no users; kept only"
        for kind in ("Analysis", "Dashboard", "DataSet", "DataSource")
    },
    ("AWS::SNS::Topic", "Subscription"): "subscriptions are asked for one by one",
    ("AWS::SSM::Parameter", "Tier"): "DescribeParameters has it",
    ("AWS::StepFunctions::StateMachine", "DefinitionSubstitutions"): "filled into the definition",
}
"""Properties that no answer has, and why."""


def drift(live: Mapping[Node, Live], ask: Ask) -> list[str]:
    """Return where the describe operations answer otherwise than the template asks for.

    One line each: stack, logical id, type, property, what was asked for and what is there.
    """
    found = []
    for (stack, logical_id), one in live.items():
        where = f"{stack}/{logical_id} {one.created.type}"
        for problem in of_resource(one, ask):
            found.append(f"{where}{problem}")
    return found


def of_resource(one: Live, ask: Ask) -> Iterator[str]:
    """Yield how a resource differs from what was asked for, ``.Property: ...``."""
    kind, physical_id = one.created.type, one.created.physical_id
    values = copy.deepcopy(one.properties)
    answers = ANSWERS.get(kind)
    if answers is None:
        yield ": nothing asks for it"
        return
    try:
        found = answers(ask, physical_id, values)
    except AwsError as error:
        yield f": {error}"
        return
    # What only the deployment keeps no service can answer.
    unseen = {*one.created.recorded, *(name for of, name in NOT_DESCRIBED if of == kind)}
    wanted = {name: value for name, value in values.items() if name not in unseen}
    yield from differences(wanted, found, "")


def differences(wanted: Any, found: Any, path: str) -> Iterator[str]:
    """Yield where ``found`` lacks what is wanted; names may differ in case, numbers be texts."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        by_lower = {name.lower(): value for name, value in found.items()}
        for name, value in wanted.items():
            if name.lower() in by_lower:
                yield from differences(value, by_lower[name.lower()], f"{path}.{name}")
            elif value not in ({}, []):
                yield f"{path}.{name}: not in the answer"
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for number, (one_wanted, one_found) in enumerate(zip(wanted, found, strict=True)):
            yield from differences(one_wanted, one_found, f"{path}[{number}]")
    elif _text(wanted) != _text(found):
        yield f"{path}: {wanted!r} was asked for, not {found!r}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
