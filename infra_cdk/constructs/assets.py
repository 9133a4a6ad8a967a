"""What is deployed of ``pipeline/``: the function package, the job's script and zip, the image.

Every asset has a name; the committed snapshot refers to assets by these names instead of by
the hash of their contents. What each holds is decided in `infra_cdk.contents`.
"""

from __future__ import annotations

import os
from pathlib import Path

import jsii
from aws_cdk import AssetHashType, BundlingOptions, DockerImage, ILocalBundling
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from infra_cdk.contents import (
    NOT_DEPLOYED,
    REPOSITORY,
    WITH_REQUIREMENTS,
    add_wheels,
    write_contents,
)

WHEELS_VARIABLE = "FLEETWIN_BUNDLE_WHEELS"
"""Set to 1 for a deployment: the function package then holds its wheels (needs the network)."""


class PipelineAssets(Construct):
    """The assets, each once, for all the constructs that refer to them."""

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.function = self._package("function")
        self.pipeline = self._package("pipeline")
        self.features_job = self._script("features-job", "features_job.py")
        self.compaction_job = self._script("compaction-job", "compaction_job.py")
        self.scores_job = self._script("scores-job", "scores_job.py")
        # The context is the package itself: nothing else of the repository is in reach.
        self.image = ecr_assets.DockerImageAsset(
            self,
            "model-image",
            directory=str(REPOSITORY / "pipeline"),
            file="model/Dockerfile",
            exclude=[f"**/{name}" for name in NOT_DEPLOYED],
            platform=ecr_assets.Platform.LINUX_AMD64,
            display_name="model-image",
        )

    def _script(self, name: str, file: str) -> s3_assets.Asset:
        path = str(REPOSITORY / "pipeline" / "etl" / file)
        return s3_assets.Asset(self, name, path=path, display_name=name)

    def _package(self, name: str) -> s3_assets.Asset:
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
                local=PackageBundling(name),
            ),
        )


@jsii.implements(ILocalBundling)
class PackageBundling:
    """Copies what the asset holds, and for a deployment lays the wheels beside it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def try_bundle(
        self, output_dir: str, options: BundlingOptions | None = None, **_: object
    ) -> bool:
        """Write the package to ``output_dir``; raises BuildError where wheels are not to be had."""
        write_contents(self._name, Path(output_dir))
        if self._name == WITH_REQUIREMENTS and os.environ.get(WHEELS_VARIABLE) == "1":
            add_wheels(Path(output_dir))
        return True
