"""`fleetwin deploy` and `destroy` change the stack of a twin that is up, by its own endpoint."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from simulator.cli_commands import app
from simulator.cloud.cloud import Cloud
from simulator.cloud.deployments import Deployments
from simulator.errors import EnvironmentMissing, ScenarioError, SimulatorError
from simulator.targets import ROOT

EXAMPLE = ROOT / "examples" / "cold-store" / "synthesized"


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Return a twin that is up with the example's stack; this process has its variables."""
    cloud = Cloud(datetime(2026, 1, 5, tzinfo=UTC), tmp_path / "state", speed=1000.0)
    cloud.boot(EXAMPLE, {}, prewarmed=False)
    deployments = Deployments(cloud)
    thread = threading.Thread(target=deployments.serve, daemon=True)
    thread.start()
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    try:
        yield cloud
    finally:
        deployments.stop()
        thread.join(30)
        cloud.close()


def fleetwin(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def changed(folder: Path, change: Any) -> str:
    """Return a copy of the example whose resources were changed."""
    copy = folder / "changed"
    shutil.copytree(EXAMPLE, copy)
    path = copy / "ColdStore.template.json"
    template = json.loads(path.read_text("utf-8"))
    change(template["Resources"])
    path.write_text(json.dumps(template), "utf-8")
    return str(copy)


def of(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the properties of the first resource of a type."""
    return next(
        body.setdefault("Properties", {}) for body in resources.values() if body["Type"] == kind
    )


def another_timeout(resources: dict[str, Any]) -> None:
    of(resources, "AWS::Lambda::Function")["Timeout"] = 17
    resources["More"] = {"Type": "AWS::SNS::Topic"}


def test_deploying_what_is_there_says_that_nothing_changes(up: Cloud) -> None:
    assert fleetwin("deploy", "--assembly", str(EXAMPLE)).output == "nothing changes\n"


def test_a_deployment_prints_its_change_set_and_a_dry_run_only_that(
    up: Cloud, tmp_path: Path
) -> None:
    folder = changed(tmp_path, another_timeout)
    before = up.deployment
    said = fleetwin("deploy", "--assembly", folder, "--dry-run").output
    assert "Modify   AWS::Lambda::Function  ColdStore/" in said
    assert "Add      AWS::SNS::Topic        ColdStore/More" in said
    assert said.endswith("2 changes: 1 add, 1 modify, 0 replace, 0 remove, 0 retain\n")
    assert up.deployment is before
    done = fleetwin("deploy", "--assembly", folder).output
    assert done.startswith(said)
    assert "deployed; the stack has" in done
    assert up.deployment is not None
    (function,) = up.deployment.find("AWS::Lambda::Function")
    assert up.functions.named(function.physical_id).timeout_s == 17
    assert fleetwin("deploy", "--assembly", folder).output == "nothing changes\n"


def test_a_deployment_tells_each_step_and_of_a_failure_which_resource_and_why(
    up: Cloud, tmp_path: Path
) -> None:
    done = fleetwin("deploy", "--assembly", changed(tmp_path, another_timeout)).output
    assert "UPDATE_COMPLETE               AWS::Lambda::Function  ColdStore/" in done
    assert "  CREATE_COMPLETE               AWS::SNS::Topic  ColdStore/More\n" in done

    def spoil(resources: dict[str, Any]) -> None:
        given = {"BucketName": "Not A Name"}
        resources["Late"] = {"Type": "AWS::S3::Bucket", "Properties": given, "DependsOn": "Q"}
        resources["Q"] = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "more"}}

    (tmp_path / "two").mkdir()
    result = CliRunner().invoke(
        app, ["deploy", "--assembly", changed(tmp_path / "two", spoil)], catch_exceptions=True
    )
    assert "CREATE_FAILED                 AWS::S3::Bucket  ColdStore/Late  " in result.output
    assert "UPDATE_ROLLBACK_COMPLETE      AWS::CloudFormation::Stack  ColdStore\n" in result.output
    assert isinstance(result.exception, SimulatorError)
    assert str(result.exception).startswith("ColdStore: Late.Properties: s3:CreateBucket answered")


def test_a_refused_deployment_names_what_the_twin_cannot_change(up: Cloud, tmp_path: Path) -> None:
    encrypted = {"KmsKeyId": "arn:aws:kms:us-east-1:0:key/k"}
    folder = changed(tmp_path, lambda found: of(found, "AWS::Logs::LogGroup").update(encrypted))
    with pytest.raises(SimulatorError, match=r"Properties\.KmsKeyId: .*AWS::Logs::LogGroup"):
        fleetwin("deploy", "--assembly", folder)


def test_drift_names_what_was_changed_by_hand(up: Cloud) -> None:
    assert fleetwin("drift").output.endswith("resources, 0 differences\n")
    assert up.deployment is not None
    (function,) = up.deployment.find("AWS::Lambda::Function")
    params = {"FunctionName": function.physical_id, "Handler": "another.handler"}
    up.engine.call(
        lambda: up.dispatch(up.dispatch.root, "lambda", "UpdateFunctionConfiguration", params)
    )
    done = fleetwin("drift")
    assert "AWS::Lambda::Function.Handler: " in done.output
    assert "was asked for, not 'another.handler'" in done.output
    assert done.exit_code == 1


def test_destroying_leaves_an_empty_twin_that_can_be_deployed_to(up: Cloud) -> None:
    assert "Remove" in fleetwin("destroy", "--dry-run").output
    assert up.deployment is not None
    count = len(up.deployment.resources)
    assert count > 5
    assert fleetwin("destroy").output.endswith("destroyed\n")
    assert up.deployment.resources == {}
    assert fleetwin("destroy").output == "nothing changes\n"
    said = fleetwin("deploy", "--assembly", str(EXAMPLE)).output
    assert f"the stack has {count} resources" in said


def test_only_the_accounts_root_may_deploy(up: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASOMEBODY")
    with pytest.raises(SimulatorError, match="token included in the request is invalid"):
        fleetwin("deploy", "--assembly", str(EXAMPLE))
    role = up.iam.role_arns()[0]
    key, _, _ = up.iam.issue_credentials(role, "s", "worker")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    with pytest.raises(SimulatorError, match="only the account's root deploys"):
        fleetwin("deploy", "--assembly", str(EXAMPLE))


def test_what_cannot_be_asked_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(EnvironmentMissing, match="no twin answers at"):
        fleetwin("destroy")
    with pytest.raises(ScenarioError, match="must be NAME=VALUE"):
        fleetwin("deploy", "--assembly", str(EXAMPLE), "--parameters", "x")
