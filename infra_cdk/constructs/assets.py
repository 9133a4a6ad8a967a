"""What is deployed of ``pipeline/``: the function package, the job's script and zip, the image.

Every asset has a name; the committed snapshot refers to assets by these names instead of by
the hash of their contents, and `SOURCES` says which folder each comes from, so the local
target can run them from the working tree.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsii
from aws_cdk import AssetHashType, BundlingOptions, DockerImage, ILocalBundling
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

REPOSITORY = Path(__file__).resolve().parents[2]
REQUIREMENTS = REPOSITORY / "infra_cdk" / "function-requirements.txt"
WHEELS_VARIABLE = "FLEETWIN_BUNDLE_WHEELS"
"""Set to 1 for a deployment: the function package then holds its wheels (needs the network)."""

# The folder that holds the package. Not ".", which exists in every folder where the reader of
# the snapshot may look for it.
_ABOVE_PACKAGE = "pipeline/.."

SOURCES: dict[str, dict[str, object]] = {
    "function": {"packaging": "zip", "path": _ABOVE_PACKAGE, "include": ["pipeline"]},
    "pipeline": {"packaging": "zip", "path": _ABOVE_PACKAGE, "include": ["pipeline"]},
    "features-job": {"packaging": "file", "path": "pipeline/etl/features_job.py"},
    "compaction-job": {"packaging": "file", "path": "pipeline/etl/compaction_job.py"},
    "scores-job": {"packaging": "file", "path": "pipeline/etl/scores_job.py"},
    "model-image": {
        "packaging": "image",
        "path": _ABOVE_PACKAGE,
        "include": ["pipeline"],
        "dockerfile": "pipeline/model/Dockerfile",
    },
}
_NOT_DEPLOYED = ("tests", "__pycache__")


class PipelineAssets(Construct):
    """The assets, each once, for all the constructs that refer to them."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.function = self._package("function", with_requirements=True)
        self.pipeline = self._package("pipeline", with_requirements=False)
        self.features_job = self._script("features-job", "features_job.py")
        self.compaction_job = self._script("compaction-job", "compaction_job.py")
        self.scores_job = self._script("scores-job", "scores_job.py")
        # The context is the package itself: nothing else of the repository is in reach.
        self.image = ecr_assets.DockerImageAsset(
            self,
            "model-image",
            directory=str(REPOSITORY / "pipeline"),
            file="model/Dockerfile",
            exclude=[f"**/{name}" for name in _NOT_DEPLOYED],
            platform=ecr_assets.Platform.LINUX_AMD64,
            display_name="model-image",
        )

    def _script(self, name: str, file: str) -> s3_assets.Asset:
        path = str(REPOSITORY / "pipeline" / "etl" / file)
        return s3_assets.Asset(self, name, path=path, display_name=name)

    def _package(self, name: str, *, with_requirements: bool) -> s3_assets.Asset:
        return s3_assets.Asset(
            self,
            name,
            path=str(REPOSITORY / "pipeline"),
            display_name=name,
            asset_hash_type=AssetHashType.OUTPUT,
            bundling=BundlingOptions(
                # Only named because the property is required: the local bundling never fails
                # over to Docker.
                image=DockerImage.from_registry("public.ecr.aws/sam/build-python3.11"),
                # Never run; it tells the two packages apart in the CDK's cache of bundles.
                command=[name],
                local=PackageBundling(with_requirements=with_requirements),
            ),
        )


@jsii.implements(ILocalBundling)
class PackageBundling:
    """Copies the package as it is imported, and for a deployment installs its wheels beside it."""

    def __init__(self, *, with_requirements: bool) -> None:
        self._with_requirements = with_requirements

    def try_bundle(
        self, output_dir: str, options: BundlingOptions | None = None, **_: object
    ) -> bool:
        """Write the package to ``output_dir``; a failing pip raises CalledProcessError."""
        shutil.copytree(
            REPOSITORY / "pipeline",
            Path(output_dir, "pipeline"),
            ignore=shutil.ignore_patterns(*_NOT_DEPLOYED),
        )
        if self._with_requirements:
            shutil.copy(REQUIREMENTS, output_dir)
            if os.environ.get(WHEELS_VARIABLE) == "1":
                _install_wheels(output_dir)
        return True


def _install_wheels(output_dir: str) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"),
            *("--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64"),
            *("--python-version", "3.11", "--only-binary", ":all:"),
            *("--target", output_dir, "--requirement", str(REQUIREMENTS)),
        ],
        check=True,
    )
