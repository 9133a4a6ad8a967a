"""ARNs of what no resource of the stack stands for: it is created while the pipeline runs."""

from __future__ import annotations

from aws_cdk import Aws


def regional(service: str, resource: str) -> str:
    """Return the ARN of ``resource`` in the stack's account and region."""
    return f"arn:{Aws.PARTITION}:{service}:{Aws.REGION}:{Aws.ACCOUNT_ID}:{resource}"


def iot(resource: str) -> str:
    """Return an IoT ARN; ``resource`` is such as ``topic/a/b``."""
    return regional("iot", resource)


def sagemaker(resource: str) -> str:
    """Return a SageMaker ARN; ``resource`` is such as ``endpoint/name``."""
    return regional("sagemaker", resource)
