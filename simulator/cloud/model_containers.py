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
from simulator.cloud.errors import AwsError
from simulator.cloud.image_pulls import denied_action
from simulator.cloud.job_s3 import RoleS3, extract, session_of
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

    Raises AwsError, in recorded words, when the role cannot read the archive or it is none.
    """
    principal = session_of(context, role)
    (folder / "model").mkdir(parents=True, exist_ok=True)
    if uri := container.get("ModelDataUrl"):
        try:
            body = yield from RoleS3(context, principal).get(uri)
        except AwsError as error:
            raise _failed(
                f'download model data for container "container_1" from URL: "{uri}". Please '
                "ensure that there is an object located at the URL and that the role passed to "
                f"CreateModel has permissions to download the object. ({error.message})"
            ) from error
        try:
            extract(body, folder / "model")
        except ValueError as error:
            raise _failed(
                f'extract model data archive for container "container_1" from URL "{uri}". Please '
                f"ensure that the object located at the URL is a valid tar.gz archive. ({error})"
            ) from error
    if action := denied_action(context, principal, container["Image"]):
        raise AwsError(
            "ValidationException",
            f"The role '{role}' does not have {action} permission for the image: "
            f"'{container['Image']}'.",
        )
    image = containers.image(context, container["Image"])

    def environ(worker: str) -> dict[str, str]:
        base = context.child_environment(role, "SageMaker", worker)
        return image.environ(base, {**container.get("Environment", {}), **more})

    return Served(image, environ, folder)


def _failed(why: str) -> AwsError:
    return AwsError("ValidationException", f"Failed to {why}")
