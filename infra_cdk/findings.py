"""Findings of cdk-nag's AwsSolutions that are accepted for the whole stack, and why.

Wildcards in a role's resources have their reasons beside the statement (`permissions`).
"""

from __future__ import annotations

from aws_cdk import Acknowledgment, Stack, Validations

ACCEPTED = {
    "AwsSolutions::AwsSolutions-S1": (
        "No access logs of the buckets: only the roles of this stack reach them, and a log "
        "bucket would take about as many objects as the telemetry itself"
    ),
    "AwsSolutions::AwsSolutions-SQS3": (
        "The inbox and the queue of what was kept have no dead-letter queue: nothing processes "
        "them, messages are read by people and tools and kept for 14 days"
    ),
    "AwsSolutions::AwsSolutions-L1": (
        "Python 3.11 is what Glue 5.1 runs; one version of Python for all of the pipeline"
    ),
    "AwsSolutions::AwsSolutions-GL1": (
        "The job logs counts and names of hours, no readings: CloudWatch's own encryption is enough"
    ),
    "AwsSolutions::AwsSolutions-GL3": (
        "Glue's bookmarks are off, so nothing is there to encrypt: the job of the features keeps "
        "its own in the lake, encrypted like it, the other two are told their hours"
    ),
    "AwsSolutions::AwsSolutions-SF1": (
        "What failed is logged, and published; a standard workflow keeps the history of all else "
        "for 90 days by itself"
    ),
    "AwsSolutions::AwsSolutions-SF2": (
        "The states call services that do not take part in a trace, so it would show one node"
    ),
    "Annotation::@aws-cdk/aws-lambda:codeFromBucketObjectVersionNotSpecified": (
        "The key is the hash of the code: another version has another key"
    ),
}


def acknowledge(stack: Stack) -> None:
    """Accept the findings; any other fails the synthesis."""
    Validations.of(stack).acknowledge(
        *(Acknowledgment(id=finding, reason=reason) for finding, reason in ACCEPTED.items())
    )
