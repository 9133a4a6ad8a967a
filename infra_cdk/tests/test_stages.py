"""The stage prod: the same stack under other names, with other sizes, and as clean as dev."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from infra_cdk.config import DEV, PROD, STAGES, StageConfig
from infra_cdk.tests.snapshot import ACCOUNT_LOGS, SNAPSHOTS, Body, template, text_of
from simulator.tests.once import prod_assembly

PROD_SNAPSHOT = SNAPSHOTS.with_name("snapshots-prod")
INFRA = "the extra 'infra' is not installed: pip install -e '.[infra]'"
NAME_KEYS = (
    *("AlarmName", "BucketName", "DashboardName", "FunctionName", "LogGroupName"),
    *("ModelPackageGroupName", "Name", "PolicyName", "QueueName", "RoleName", "RuleName"),
    *("StateMachineName", "TableName", "TopicName", "ThingName", "ThingTypeName"),
)
"""Properties that hold a resource's physical name; elsewhere they refer to another resource."""


@pytest.fixture(scope="module")
def prod(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the template that `infra_cdk.synth` writes of prod, of an assembly made before.

    The synthesis fails where AwsSolutions finds what nobody has accepted.
    """
    made = prod_assembly(tmp_path_factory)
    folder = tmp_path_factory.mktemp("stages") / "prod"

    def synthesize(assembly: Path, config: StageConfig) -> None:
        assert config is PROD
        shutil.copytree(made, assembly)

    app = ModuleType("infra_cdk.app")
    app.__dict__["synthesize"] = synthesize
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, app.__name__, app)
        patch.delitem(sys.modules, "infra_cdk.synth", raising=False)
        patch.setattr(sys, "argv", ["synth", "--stage", "prod", str(folder)])
        # By its file: where pytest rewrites the project's modules, it has no code of one to give.
        runpy.run_path(str(Path(__file__).parents[1] / "synth.py"), run_name="__main__")
    return folder / "FleetwinProd.template.json"


def test_a_fresh_synthesis_of_prod_is_byte_for_byte_its_snapshot(prod: Path) -> None:
    fresh = {file.name: file.read_bytes() for file in prod.parent.iterdir()}
    committed = {file.name: file.read_bytes() for file in PROD_SNAPSHOT.iterdir()}
    assert fresh == committed, "run `make synth` and review the difference"


def physical_names(body: Body) -> Iterator[tuple[str, str]]:
    """Yield (type, name) of every resource that has a name of its own."""
    for resource in body["Resources"].values():
        properties = resource.get("Properties", {})
        for scope in (properties, properties.get("DatabaseInput", {})):
            for key in NAME_KEYS:
                value = scope.get(key)
                # A name begins with words; what begins with a reference is another's name.
                if value is None or text_of(value) in ACCOUNT_LOGS:
                    continue
                if not text_of(value).startswith("<"):
                    yield resource["Type"], text_of(value)


def test_no_name_of_prod_is_one_of_dev(prod: Path) -> None:
    names = set(physical_names(json.loads(prod.read_text())))
    assert len(names) > 60
    assert names & set(physical_names(template())) == set()


def test_every_name_says_its_stage(prod: Path) -> None:
    for body, config in ((template(), DEV), (json.loads(prod.read_text()), PROD)):
        marks = (config.prefix, config.underscored, f"fleetwin/{config.stage}/")
        for kind, name in physical_names(body):
            assert any(mark in name for mark in marks), (kind, name)


def test_bucket_names_carry_the_account(prod: Path) -> None:
    buckets = [
        name
        for kind, name in physical_names(json.loads(prod.read_text()))
        if kind == "AWS::S3::Bucket"
    ]
    assert len(buckets) == 3
    assert all(name.endswith("-<AWS::AccountId>") for name in buckets)


def test_prod_says_nothing_of_dev(prod: Path) -> None:
    for file in prod.parent.iterdir():
        assert not any(name in file.read_text() for name in ("fleetwin-dev", "fleetwin_dev")), file


def test_both_stages_have_the_same_resources_but_for_the_key(prod: Path) -> None:
    dev, of_prod = (
        {key: resource["Type"] for key, resource in body["Resources"].items()}
        for body in (template(), json.loads(prod.read_text()))
    )
    more = [of_prod.pop(key) for key in of_prod.keys() - dev.keys()]
    assert dev == of_prod
    assert sorted(more) == ["AWS::KMS::Alias", "AWS::KMS::Key"]


def test_the_lake_and_the_stream_of_prod_are_under_its_key(prod: Path) -> None:
    resources = json.loads(prod.read_text())["Resources"].values()
    (key,) = (each for each in resources if each["Type"] == "AWS::KMS::Key")
    used = []
    for each in resources:
        body = each.get("Properties", {})
        if each["Type"] == "AWS::S3::Bucket":
            (rule,) = body["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            assert rule["BucketKeyEnabled"] is True
            assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
            used.append(rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"])
        if each["Type"] == "AWS::Kinesis::Stream":
            used.append(body["StreamEncryption"]["KeyId"])
    assert len(used) == 4
    assert all(text_of(one).startswith("<Key") for one in used)
    assert key["Properties"]["EnableKeyRotation"] is True
    assert (key["DeletionPolicy"], key["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_the_key_is_used_through_services_only_and_not_deleted_without_a_new_policy(
    prod: Path,
) -> None:
    resources = json.loads(prod.read_text())["Resources"].values()
    (key,) = (each["Properties"] for each in resources if each["Type"] == "AWS::KMS::Key")
    administer, use = key["KeyPolicy"]["Statement"]
    assert not [action for action in administer["Action"] if "*" in action]
    assert "kms:PutKeyPolicy" in administer["Action"]
    assert not {"kms:ScheduleKeyDeletion", "kms:Decrypt", "kms:Encrypt", "kms:CreateGrant"} & set(
        administer["Action"]
    )
    assert use["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    via = use["Condition"]["StringEquals"]["kms:ViaService"]
    assert [text_of(one).partition(".")[0] for one in via] == ["s3", "kinesis"]


def test_the_schedules_of_prod_are_on(prod: Path) -> None:
    body = json.loads(prod.read_text())
    rules = [
        resource["Properties"]
        for resource in body["Resources"].values()
        if resource["Type"] == "AWS::Events::Rule"
        and "ScheduleExpression" in resource["Properties"]
    ]
    states = [
        rule["State"]
        if isinstance(rule["State"], str)
        else body["Parameters"][rule["State"]["Ref"]]["Default"]
        for rule in rules
    ]
    assert len(states) >= 4
    assert set(states) == {"ENABLED"}


def test_cfn_lint_finds_no_error_in_prod(prod: Path) -> None:
    pytest.importorskip("cfnlint", reason=INFRA)
    lint = "import sys; from cfnlint.runner import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", lint, "--template", str(prod), "--ignore-checks", "W"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("config", STAGES.values(), ids=STAGES)
def test_a_batch_is_given_up_before_the_stream_forgets_it(config: StageConfig) -> None:
    assert config.mapping_record_age_s <= config.stream_retention_hours * 3600
