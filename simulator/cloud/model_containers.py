"""A model ready to be served: its archive fetched as its role, its image, its variables.

Used by `sagemaker_fleets` for endpoints and by `transform_runs`; what runs it is
`endpoint_server`. Source: SageMaker developer guide, "How SageMaker Loads Your Model Artifacts".
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import simpy

from simulator.cloud import containers
from simulator.cloud.containers import Image
from simulator.cloud.context import Context
from simulator.cloud.job_s3 import RoleS3, extract
from simulator.cloud.operations import Params


@dataclass(frozen=True)
class Served:
    """What `EndpointServer` needs: image, variables by the worker's name, what is at /opt/ml."""

    image: Image
    environ: Callable[[str], Mapping[str, str]]
    folder: Path


def laid_out(
    context: Context, container: Params, role: str, folder: Path, more: Mapping[str, str]
) -> Generator[simpy.Event, Any, Served]:
    """Unpack a container's model below a folder; ``more`` are variables beside its own.

    Raises AwsError when the role may not read the archive, ValueError when it is none.
    """
    principal = context.iam.principal_for_role(role, "SageMaker", service="sagemaker.amazonaws.com")
    (folder / "model").mkdir(parents=True, exist_ok=True)
    if uri := container.get("ModelDataUrl"):
        body = yield from RoleS3(context, principal).get(uri)
        extract(body, folder / "model")
    image = containers.image(context, container["Image"])

    def environ(worker: str) -> dict[str, str]:
        base = context.child_environment(role, "SageMaker", worker)
        return image.environ(base, {**container.get("Environment", {}), **more})

    return Served(image, environ, folder)
