"""What the template says of machines at the broker, and of reports in QuickSight."""

from __future__ import annotations

from typing import Any

from infra_cdk.tests.snapshot import resources, template

THING = "${iot:Connection.Thing.ThingName}"


def text_in(value: Any) -> str:
    """Return a value's text, what another resource gives left out."""
    if isinstance(value, dict) and "Fn::Join" in value:
        return "".join(part for part in value["Fn::Join"][1] if isinstance(part, str))
    return str(value)


def test_a_machine_may_connect_as_itself_and_publish_under_its_own_name_only() -> None:
    (policy,) = resources("AWS::IoT::Policy").values()
    connect, publish = policy["PolicyDocument"]["Statement"]
    assert connect["Action"] == "iot:Connect"
    assert text_in(connect["Resource"]).endswith(f":client/{THING}")
    assert connect["Condition"] == {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}
    assert publish["Action"] == "iot:Publish"
    topics = [text_in(arn).partition(":topic/")[2] for arn in publish["Resource"]]
    assert topics == [f"fleet/{THING}/telemetry", f"fleet/{THING}/burst"]


def test_reports_are_made_for_a_principal_only_and_copy_nothing() -> None:
    made = {
        logical_id: body
        for logical_id, body in template()["Resources"].items()
        if body["Type"].startswith("AWS::QuickSight::")
    }
    assert len(made) == 6
    (condition,) = {body["Condition"] for body in made.values()}
    wanted = {"Fn::Not": [{"Fn::Equals": [{"Ref": "QuickSightPrincipal"}, ""]}]}
    assert template()["Conditions"][condition] == wanted
    assert template()["Parameters"]["QuickSightPrincipal"]["Default"] == ""
    for body in made.values():
        (grant,) = body["Properties"]["Permissions"]
        assert grant["Principal"] == {"Ref": "QuickSightPrincipal"}
    for body in resources("AWS::QuickSight::DataSet").values():
        assert body["ImportMode"] == "DIRECT_QUERY"
