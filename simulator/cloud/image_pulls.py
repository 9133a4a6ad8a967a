"""Pulling a container's image, which SageMaker does in the name of the role that will run it.

The twin has the image's folder at hand and pulls nothing; the role is asked all the same, for
what its registry asks on AWS. Only images of a registry of the kind `ACCOUNT.dkr.ecr.REGION...`
ask for anything. Policies of the repository itself do not exist here.

Sources: SageMaker Developer Guide, "SageMaker AI roles" (the four actions of an execution role);
Service Authorization Reference, "Amazon Elastic Container Registry". The words of a denial are
those that AWS is reported to give; which of them a processing job has is not known.
"""

from __future__ import annotations

import re

from simulator.cloud.context import Context
from simulator.cloud.errors import AccessDenied
from simulator.cloud.operations import Principal

LAYER_ACTIONS = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
_REGISTRY = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com[a-z.]*/([^:@]+)")
CANNOT_PULL = (
    "Cannot pull algorithm container. Either the image does not exist or its permissions are "
    "incorrect."
)
"""Why a job failed, as DescribeTrainingJob says it."""


def denied_action(context: Context, principal: Principal, uri: str) -> str:
    """Return the first action that pulling an image needs and the role may not, or ""."""
    named = _REGISTRY.match(uri)
    if named is None:
        return ""
    account, region, repository = named.groups()
    place = f"arn:aws:ecr:{region}:{account}:repository/{repository}"
    asked = [("GetAuthorizationToken", "*"), *((action, place) for action in LAYER_ACTIONS)]
    for action, resource in asked:
        try:
            context.iam.authorise(principal, f"ecr:{action}", resource)
        except AccessDenied:
            return action
    return ""
