"""What differs between stages, and the names that follow from the stage.

Read by the stacks and the constructs. Physical names are fixed (not generated), because the
workflow, the alarms and the people who look at the account refer to them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

PROJECT = "fleetwin"
METRIC_NAMESPACE = "Fleetwin"
RULE_SQL_VERSION = "2016-03-23"

# The feature columns: these of each sensor, then those of the latest burst.
SENSOR_STATISTICS = ("mean", "std", "slope")
BURST_FEATURES = (
    "vibration_burst_rms_m_s2",
    "vibration_burst_kurtosis",
    "vibration_burst_crest",
    "vibration_burst_log_power_10_1000_hz",
    "vibration_burst_log_power_1000_3000_hz",
    "vibration_burst_log_power_3000_6000_hz",
    "vibration_burst_envelope_peak",
)

PUMP_SPEC: dict[str, object] = {
    "sensors": {
        "temperature_c": [-40, 200],
        "velocity_mm_s_rms": [0, 100],
        "pressure_bar": [-1, 40],
        "current_a": [0, 200],
    },
    "window_s": 60,
    "hop_s": 10,
    "allowed_lateness_s": 10,
    "bursts": True,
    "burst_max_age_s": 900,
}


EXTRA_FEATURES: dict[str, object] = {
    "long_windows_s": [300],
    "statistics": ["min", "max", "ewma"],
    "gap_s": 10,
}
"""What the lake's features have beyond those that the model looks at."""

S3_MANAGED, KMS = "s3", "kms"
"""How a stage's readings are encrypted at rest: with S3's own keys, or with one of the stage."""

QUALITY_COLUMNS = ("impossible_values", "stuck_sensors", "gaps")
NIGHTLY_LIMITS = {"malformed": 0.01, "late": 0.05}
"""Shares of a day's messages beyond which the nightly workflow alerts and does not go on."""
QUALITY_RULES = {"max_malformed_share": 0.2, "max_impossible_share": 0.2}
"""Beyond these the features job fails: so much is not a broken sensor but a broken feed."""


@dataclass(frozen=True)
class StageConfig:
    """The settings of one stage."""

    stage: str
    feature_spec: str
    """Compact JSON: the default of the stack's parameter FeatureSpec."""
    extra_features: str
    quality_rules: str
    stream_shards: int
    stream_retention_hours: int
    mapping_batch_size: int
    mapping_window_s: int
    mapping_retries: int
    mapping_record_age_s: int
    max_future_s: int
    """Readings that claim to be further ahead of their arrival are dead-lettered."""
    iterator_age_alarm_ms: int
    latency_alarm_us: int
    """The endpoint's mean latency of a minute, in the metric's microseconds."""
    late_alarm_count: int
    feature_lag_alarm_ms: int
    log_retention_days: int
    features_schedule: str
    """When features are made of what is new: an expression of EventBridge, in UTC."""
    features_on_schedule: bool
    compaction_schedule: str
    """When the objects of the day before are compacted: after its last readings are in."""
    maintenance_schedule: str
    """When DataSync looks for work orders; hourly is the most it does."""
    monitoring_schedule: str
    """When the endpoint's traffic of the hour before is judged: after its last file is there."""
    monitoring_on_schedule: bool
    nightly_schedule: str
    """When the day before is made, judged and scored: before its objects are compacted."""
    nightly_on_schedule: bool
    is_lake_governed: bool
    """Whether Lake Formation decides about the catalog and the processed zone, or IAM alone."""
    training_instance: str
    endpoint_instance: str
    endpoint_instances: int
    """How many the workflow creates, and the fewest; two at least, of which a canary is one."""
    endpoint_most_instances: int
    """How many scaling may make of them."""
    requests_per_instance: int
    """Invocations a minute that scaling keeps an instance at."""
    encryption: str
    """`S3_MANAGED` or `KMS`."""

    @property
    def prefix(self) -> str:
        """The beginning of physical names: ``fleetwin-dev``."""
        return f"{PROJECT}-{self.stage}"

    @property
    def underscored(self) -> str:
        """The prefix where hyphens are not allowed: ``fleetwin_dev``."""
        return f"{PROJECT}_{self.stage}"

    @property
    def stack_name(self) -> str:
        """The name of the stage's stack: ``FleetwinDev``."""
        return f"{PROJECT.capitalize()}{self.stage.capitalize()}"

    @property
    def endpoint_name(self) -> str:
        """The endpoint that the workflow creates once there is a model."""
        return f"{self.prefix}-detector"


DEV = StageConfig(
    stage="dev",
    encryption=S3_MANAGED,
    feature_spec=json.dumps(PUMP_SPEC, separators=(",", ":")),
    extra_features=json.dumps(EXTRA_FEATURES, separators=(",", ":")),
    quality_rules=json.dumps(QUALITY_RULES, separators=(",", ":")),
    stream_shards=1,
    stream_retention_hours=24,
    mapping_batch_size=1000,
    mapping_window_s=10,
    # Bad messages are dead-lettered by the functions themselves; what fails a batch is a
    # service that throttles or is away, so patience helps and bisecting the batch does not.
    mapping_retries=10,
    mapping_record_age_s=6 * 3600,
    max_future_s=300,
    iterator_age_alarm_ms=300_000,
    # The detector gives an answer 60 s; a batch takes a few milliseconds.
    latency_alarm_us=1_000_000,
    # A device that comes back after an hour offline brings some thousand: that is no alarm.
    late_alarm_count=10_000,
    # Far more than the stride and the allowed lateness explain.
    feature_lag_alarm_ms=300_000,
    log_retention_days=30,
    features_schedule="cron(20 * * * ? *)",
    # A stage for trying things out makes features when it trains.
    features_on_schedule=False,
    compaction_schedule="cron(45 3 * * ? *)",
    maintenance_schedule="cron(10 * * * ? *)",
    monitoring_schedule="cron(5 * * * ? *)",
    monitoring_on_schedule=False,
    nightly_schedule="cron(30 2 * * ? *)",
    nightly_on_schedule=False,
    is_lake_governed=True,
    training_instance="ml.m5.large",
    endpoint_instance="ml.m5.large",
    endpoint_instances=2,
    endpoint_most_instances=4,
    # A request has the rows of a batch, and a batch takes some milliseconds: a few per cent of an
    # instance's time, and far more than a hundred machines ask for.
    requests_per_instance=600,
)

PROD = replace(
    DEV,
    stage="prod",
    encryption=KMS,
    # A shard takes 1,000 messages/s: room for a fleet of some thousand machines.
    stream_shards=4,
    # A weekend passes before somebody has to have looked at a stream that nobody reads.
    stream_retention_hours=168,
    # Above this age a batch is given up; the stream still has it for a replay.
    mapping_record_age_s=24 * 3600,
    iterator_age_alarm_ms=120_000,
    latency_alarm_us=500_000,
    # More devices may come back from being offline at once.
    late_alarm_count=100_000,
    feature_lag_alarm_ms=180_000,
    log_retention_days=365,
    features_on_schedule=True,
    monitoring_on_schedule=True,
    nightly_on_schedule=True,
    training_instance="ml.m5.xlarge",
    endpoint_instance="ml.m5.xlarge",
    # One in each of three zones, as SageMaker spreads them.
    endpoint_instances=3,
    endpoint_most_instances=6,
)

STAGES = {config.stage: config for config in (DEV, PROD)}
