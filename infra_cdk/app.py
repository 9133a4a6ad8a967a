"""The CDK app: ``python -m infra_cdk.app [FOLDER]`` writes the cloud assembly to a folder.

Also what ``cdk`` runs (``cdk.json``); without an argument the folder is the one ``cdk`` names in
CDK_OUTDIR, or build/cdk.out. The stage is the one in FLEETWIN_STAGE, or dev. The feature flags
are read from ``cdk.json`` here, so that both ways write the same bytes. Only synthesizes: no
network, no Docker, no Node CLI.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

# Before the first import of aws_cdk: its Node banner would drown whatever there is to say.
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")

from aws_cdk import App, Validations
from aws_cdk.cx_api import CloudAssembly
from cdk_nag import AwsSolutionsChecks

from infra_cdk.config import DEV, STAGES, StageConfig
from infra_cdk.contents import REPOSITORY
from infra_cdk.findings import acknowledge
from infra_cdk.stacks.fleetwin import FleetwinStack

STAGE_VARIABLE = "FLEETWIN_STAGE"
CDK_JSON = REPOSITORY / "infra_cdk" / "cdk.json"


def synthesize(folder: Path, config: StageConfig = DEV) -> CloudAssembly:
    """Write templates, manifest and assets of a stage to ``folder``.

    Raises RuntimeError when a check of AwsSolutions is neither met nor acknowledged.
    """
    context = json.loads(CDK_JSON.read_text())["context"]
    app = App(outdir=str(folder), context=context, analytics_reporting=False, tree_metadata=False)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    acknowledge(FleetwinStack(app, config))
    return app.synth()


if __name__ == "__main__":
    named = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CDK_OUTDIR")
    stage = STAGES[os.environ.get(STAGE_VARIABLE, DEV.stage)]
    synthesize(Path(named) if named else REPOSITORY / "build" / "cdk.out", stage)
