"""The Glue database and the tables over the lake: readings, bursts, features, scores."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_glue as glue
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra_cdk.config import (
    BURST_FEATURES,
    EXTRA_FEATURES,
    PUMP_SPEC,
    QUALITY_COLUMNS,
    SENSOR_STATISTICS,
    StageConfig,
)
from infra_cdk.constructs.lake import Lake

PARTITION_KEYS = (("dt", glue.Schema.STRING), ("hour", glue.Schema.STRING))

WORK_ORDER_COLUMNS = (
    ("schema", glue.Schema.INTEGER),
    ("order_id", glue.Schema.STRING),
    ("device_id", glue.Schema.STRING),
    ("kind_of_machine", glue.Schema.STRING),
    ("type", glue.Schema.STRING),
    ("opened_ms", glue.Schema.BIG_INT),
    ("started_ms", glue.Schema.BIG_INT),
    ("finished_ms", glue.Schema.BIG_INT),
    ("crew", glue.Schema.STRING),
    ("failure_mode", glue.Schema.STRING),
    ("action", glue.Schema.STRING),
    ("treated", glue.Schema.array(glue.Schema.STRING)),
    ("parts", glue.Schema.array(glue.Schema.STRING)),
    ("parts_cost", glue.Schema.DOUBLE),
    ("labour_h", glue.Schema.DOUBLE),
    ("labour_cost", glue.Schema.DOUBLE),
    ("downtime_s", glue.Schema.DOUBLE),
    ("total_cost", glue.Schema.DOUBLE),
    ("restarted", glue.Schema.BOOLEAN),
    ("alert_id", glue.Schema.STRING),
    ("text", glue.Schema.STRING),
)

SCORE_COLUMNS = (
    ("device_id", glue.Schema.STRING),
    ("event_time_ms", glue.Schema.BIG_INT),
    ("score", glue.Schema.DOUBLE),
    ("no_model_score", glue.Schema.DOUBLE),
    ("model_version", glue.Schema.STRING),
)
"""Scores are in thresholds of the model that gave them."""


def projection() -> dict[str, glue.PartitionProjectionConfiguration]:
    """Return how the raw zone's partitions follow from a rule: who writes it registers none.

    Source: Athena User Guide, "Set up partition projection".
    """
    configuration = glue.PartitionProjectionConfiguration
    return {
        "dt": configuration.date(min="2000-01-01", max="NOW", format="yyyy-MM-dd"),
        "hour": configuration.integer(min=0, max=23, digits=2),
    }


class Catalog(Construct):
    """One database with a table a folder of the lake, partitioned by event date and hour."""

    def __init__(
        self, scope: Construct, construct_id: str, config: StageConfig, lake: Lake
    ) -> None:
        super().__init__(scope, construct_id)
        self.database = glue.Database(
            self,
            "Database",
            database_name=config.underscored,
            description="Readings and features of the fleet",
        )
        identity = [
            ("schema", glue.Schema.INTEGER),
            ("device_id", glue.Schema.STRING),
            ("seq", glue.Schema.BIG_INT),
            ("event_time_ms", glue.Schema.BIG_INT),
            ("late", glue.Schema.BOOLEAN),
        ]
        self.telemetry = self._table(
            "telemetry_raw",
            "Readings as they arrived, each once",
            lake.raw,
            "telemetry/",
            glue.DataFormat.JSON,
            [*identity, ("values", glue.Schema.map(glue.Schema.STRING, glue.Schema.DOUBLE))],
            is_projected=True,
        )
        self.bursts = self._table(
            "bursts_raw",
            "Vibration bursts as they arrived, each once",
            lake.raw,
            "bursts/",
            glue.DataFormat.JSON,
            [
                *identity,
                ("rate_hz", glue.Schema.DOUBLE),
                ("scale_m_s2", glue.Schema.DOUBLE),
                ("samples_b64", glue.Schema.STRING),
            ],
            is_projected=True,
        )
        self.maintenance = self._table(
            "maintenance",
            "Work orders by the day they were finished",
            lake.raw,
            "maintenance/",
            glue.DataFormat.JSON,
            list(WORK_ORDER_COLUMNS),
            is_projected=True,
            partition_keys=PARTITION_KEYS[:1],
        )
        self.features = self._table(
            "features",
            "Rolling features, a row a device and hop",
            lake.processed,
            "features/",
            glue.DataFormat.PARQUET,
            [
                ("device_id", glue.Schema.STRING),
                ("event_time_ms", glue.Schema.BIG_INT),
                ("n", glue.Schema.BIG_INT),
                *((name, glue.Schema.DOUBLE) for name in feature_columns()),
                *((name, glue.Schema.BIG_INT) for name in QUALITY_COLUMNS),
                ("maintenance_count", glue.Schema.BIG_INT),
                ("since_maintenance_s", glue.Schema.DOUBLE),
            ],
            is_projected=False,
        )
        self.scores = self._table(
            "scores",
            "What a model says of feature rows, a row a row, by batch scoring",
            lake.processed,
            "batch-scores/",
            glue.DataFormat.PARQUET,
            list(SCORE_COLUMNS),
            is_projected=False,
        )
        self.live_scores = self._table(
            "live_scores",
            "What the detector said of feature rows as readings came, smoothed as its rule is",
            lake.processed,
            "scores/",
            glue.DataFormat.JSON,
            list(SCORE_COLUMNS),
            is_projected=True,
        )

    def _table(
        self,
        name: str,
        description: str,
        bucket: s3.Bucket,
        prefix: str,
        data_format: glue.DataFormat,
        columns: Sequence[tuple[str, glue.Type]],
        *,
        is_projected: bool,
        partition_keys: Sequence[tuple[str, glue.Type]] = PARTITION_KEYS,
    ) -> glue.S3Table:
        return glue.S3Table(
            self,
            "".join(word.capitalize() for word in name.split("_")),
            database=self.database,
            table_name=name,
            description=description,
            storage=glue.S3TableStorage.from_bucket(bucket),
            s3_prefix=prefix,
            data_format=data_format,
            columns=[glue.Column(name=column, type=kind) for column, kind in columns],
            partition_keys=[glue.Column(name=key, type=kind) for key, kind in partition_keys],
            partition_projection={key: projection()[key] for key, _ in partition_keys}
            if is_projected
            else None,
        )


def feature_columns() -> tuple[str, ...]:
    """Return the feature columns of the pump spec and the extra ones, as ``pipeline.features``."""
    sensors, windows = PUMP_SPEC["sensors"], EXTRA_FEATURES["long_windows_s"]
    further = EXTRA_FEATURES["statistics"]
    assert isinstance(sensors, dict)
    assert isinstance(windows, list)
    assert isinstance(further, list)
    suffixes = ["", *(f"_{window_s}s" for window_s in windows)]
    scalars = [
        f"{sensor}_{name}{suffix}"
        for suffix in suffixes
        for sensor in sensors
        for name in (*SENSOR_STATISTICS, *further)
    ]
    gaps = [f"gap_count{suffix}" for suffix in suffixes]
    return (*scalars, *gaps, *BURST_FEATURES)
