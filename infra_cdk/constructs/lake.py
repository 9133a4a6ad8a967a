"""The lake's buckets: raw readings, processed features and scores, model artefacts."""

from __future__ import annotations

from aws_cdk import Aws, Duration, RemovalPolicy
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra_cdk.config import StageConfig
from infra_cdk.constructs.key import stage_key

RAW_PREFIXES = ("telemetry/*", "bursts/*", "dead-letter/*")
IOT_DEAD_LETTERS = "dead-letter/iot/*"
MAPPING_FAILURES = "aws/lambda/*"
FEATURES_PREFIX = "features/*"
QUARANTINE_PREFIX = "quarantine/*"
QUALITY_PREFIX = "quality/*"
MAINTENANCE_PREFIX = "maintenance/*"
IMPORTS_PREFIX = "imports/*"
"""What an import has brought, as manifests; the readings are in telemetry/."""
LABELS_PREFIX = "labels/*"
"""Times in which machines were not healthy, for the evaluation of models."""
JOB_PREFIXES = (
    FEATURES_PREFIX,
    QUARANTINE_PREFIX,
    QUALITY_PREFIX,
    LABELS_PREFIX,
    "baselines/*",
    "state/*",
)
"""What the features job writes: rows, malformed ones, reports, labels, baseline, what it did."""
SCORES_PREFIX = "scores/*"
BATCH_SCORES_PREFIX = "batch-scores/*"
"""The table `scores`; what the detector keeps is the table `live_scores`, in another folder."""
TRANSFORM_PREFIX = "transform/*"
"""What goes into transform jobs and comes out of them, by the execution that started them."""
MODELS_PREFIX = "models/*"
CAPTURE_PREFIX = "capture/*"
"""What the endpoint was asked and has answered, as data capture writes it."""
EVALUATIONS_PREFIX = "evaluations/*"
FAILURES_PREFIX = "failures"
"""What failed, by workflow: an object of each execution that told of itself."""


class Lake(Construct):
    """Three encrypted, private buckets with a life cycle each."""

    def __init__(self, scope: Construct, construct_id: str, config: StageConfig) -> None:
        super().__init__(scope, construct_id)
        self.raw = self._bucket(
            config,
            "raw",
            [
                s3.LifecycleRule(
                    id="readings-to-archive",
                    transitions=[
                        s3.Transition(
                            storage_class=s3.StorageClass.GLACIER_INSTANT_RETRIEVAL,
                            transition_after=Duration.days(90),
                        )
                    ],
                    expiration=Duration.days(730),
                ),
                s3.LifecycleRule(
                    id="dead-letters", prefix="dead-letter/", expiration=Duration.days(90)
                ),
                s3.LifecycleRule(
                    id="failed-batches", prefix="aws/lambda/", expiration=Duration.days(90)
                ),
            ],
        )
        self.processed = self._bucket(
            config,
            "processed",
            [
                s3.LifecycleRule(id="features", prefix="features/", expiration=Duration.days(365)),
                s3.LifecycleRule(id="scores", prefix="scores/", expiration=Duration.days(90)),
                s3.LifecycleRule(
                    id="batch-scores", prefix="batch-scores/", expiration=Duration.days(365)
                ),
                s3.LifecycleRule(id="transform", prefix="transform/", expiration=Duration.days(7)),
                s3.LifecycleRule(id="capture", prefix="capture/", expiration=Duration.days(30)),
                s3.LifecycleRule(
                    id="quarantine", prefix="quarantine/", expiration=Duration.days(90)
                ),
                s3.LifecycleRule(id="quality", prefix="quality/", expiration=Duration.days(365)),
            ],
        )
        self.artefacts = self._bucket(
            config,
            "artefacts",
            [
                s3.LifecycleRule(id="models", prefix="models/", expiration=Duration.days(730)),
                s3.LifecycleRule(
                    id="monitoring", prefix="monitoring/", expiration=Duration.days(730)
                ),
                s3.LifecycleRule(
                    id="evaluations", prefix="evaluations/", expiration=Duration.days(730)
                ),
                s3.LifecycleRule(id="failures", prefix="failures/", expiration=Duration.days(365)),
            ],
        )

    def _bucket(self, config: StageConfig, zone: str, rules: list[s3.LifecycleRule]) -> s3.Bucket:
        unfinished = s3.LifecycleRule(
            id="unfinished-uploads", abort_incomplete_multipart_upload_after=Duration.days(7)
        )
        key = stage_key(self, config)
        bucket = s3.Bucket(
            self,
            zone.capitalize(),
            bucket_name=f"{config.prefix}-{zone}-{Aws.ACCOUNT_ID}",
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key.key if key else None,
            # One call to KMS for many objects, not one for each.
            bucket_key_enabled=True if key else None,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            lifecycle_rules=[*rules, unfinished],
            removal_policy=RemovalPolicy.RETAIN,
        )
        if key is not None:
            key.covered.append(("s3", bucket.bucket_arn))
        return bucket
