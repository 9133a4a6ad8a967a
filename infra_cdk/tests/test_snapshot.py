"""The snapshot is what the app synthesizes, and says nothing about the machine it was made on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra_cdk.tests.snapshot import SNAPSHOTS
from simulator.tests.once import fresh_snapshot, small_assemblies

REPOSITORY = Path(__file__).parents[2]
INFRA = "the extra 'infra' is not installed: pip install -e '.[infra]'"


def test_a_fresh_synthesis_is_byte_for_byte_the_snapshot(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = fresh_snapshot(tmp_path_factory)
    fresh = {file.name: file.read_bytes() for file in made.iterdir()}
    committed = {file.name: file.read_bytes() for file in SNAPSHOTS.iterdir()}
    assert fresh == committed, "run `make synth` and review the difference"


def test_where_the_cdk_is_not_installed_all_tests_are_found_and_none_ends_the_others() -> None:
    extra = ("aws_cdk", "cdk_nag", "cfnlint", "constructs")
    collect = ["--collect-only", "-q", "-p", "no:cacheprovider", "infra_cdk"]
    code = (
        f"import sys; sys.modules |= dict.fromkeys({extra}); "
        f"import pytest; sys.exit(pytest.main({collect}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2_000:]


def test_a_finding_that_nobody_acknowledged_fails_the_synthesis(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    acknowledged, unacknowledged = small_assemblies(tmp_path_factory)
    for folder, missing in ((acknowledged, {"SQS4"}), (unacknowledged, {"SQS3", "SQS4"})):
        assert "ValidationFailed" in (folder / "failed").read_text("utf-8")
        report = json.loads((folder / "validation-report.json").read_text("utf-8"))
        found = [each for plugin in report["pluginReports"] for each in plugin["violations"]]
        assert {each["ruleName"] for each in found} == {f"AwsSolutions-{name}" for name in missing}


def test_cfn_lint_finds_no_error() -> None:
    pytest.importorskip("cfnlint", reason=INFRA)
    lint = "import sys; from cfnlint.runner import main; sys.exit(main())"
    template = str(SNAPSHOTS / "FleetwinDev.template.json")
    done = subprocess.run(
        [sys.executable, "-c", lint, "--template", template, "--ignore-checks", "W"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_no_file_has_a_hash_or_a_path_of_a_machine() -> None:
    for file in SNAPSHOTS.iterdir():
        text = file.read_text()
        assert not re.search(r"[0-9a-f]{32}", text), file.name
        assert str(REPOSITORY) not in text, file.name
        assert not re.search(r'"/(tmp|home|root|work|Users|var)/', text), file.name


def test_every_asset_has_a_source_in_the_repository() -> None:
    assets = json.loads((SNAPSHOTS / "FleetwinDev.assets.json").read_text())
    named = {*assets["files"], *assets["dockerImages"]} - {"FleetwinDev.template"}
    sources = json.loads((SNAPSHOTS / "sources.json").read_text())
    assert named == sources.keys()
    for source in sources.values():
        path = REPOSITORY / source["path"]
        assert path.exists()
        assert all((path / name).is_dir() for name in source.get("include", []))
        assert (REPOSITORY / source.get("dockerfile", ".")).exists()
