"""The same histories on Spark, for fleets past one machine.

Device ids are distributed; each task makes its devices' readings and Spark writes them. The rows
are those of `history`, the files are Spark's. A cluster needs this project on its workers: ship it
with ``--py-files``, or install it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from simulator.fleet.catalogue import sensors_of
from simulator.fleet.files import DAY_MS, batch_of, schema_of
from simulator.fleet.history import DeviceHistory, HistoryOrder, blocks_of
from simulator.fleet.plant import PlantPlan, Unit

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def rows_of(plan: PlantPlan, device_id: str) -> Iterator[pa.RecordBatch]:
    """Yield a device's readings with their partition ``dt``, batch by batch."""
    channels = sensors_of(plan.fleet)
    unit = Unit(plan, device_id, bursts=False)
    for block in blocks_of(unit, plan):
        stamps_ms = unit.stamps_ms(block.times_s)
        batch = batch_of(device_id, block.first_seq, stamps_ms, block.values, channels)
        days = (stamps_ms // DAY_MS).astype("datetime64[D]").astype(str)
        yield batch.append_column("dt", pa.array(np.asarray(days)))


def maker(plan: PlantPlan) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """Return the function that Spark maps over batches of device ids."""

    def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for device_id in batch.column(0).to_pylist():
                yield from rows_of(plan, device_id)

    return make


def write_spark(order: HistoryOrder, spark: SparkSession) -> list[DeviceHistory]:
    """Write all devices' readings as Parquet partitioned by day; return rows by device.

    Bursts are for `history`: as binary files they are nothing that Spark writes.
    """
    plan = order.plan
    devices = list(plan.devices)
    slices = min(len(devices), max(2, 4 * spark.sparkContext.defaultParallelism))
    ids = spark.createDataFrame(
        spark.sparkContext.parallelize([(device,) for device in devices], slices),
        "device_id string",
    )
    made: Any = ids.mapInArrow(maker(plan), _spark_schema(plan))
    made.write.mode("overwrite").partitionBy("dt").parquet(str(order.folder / "telemetry"))
    written = spark.read.parquet(str(order.folder / "telemetry"))
    rows = {
        row["device_id"]: row["count"] for row in written.groupBy("device_id").count().collect()
    }
    return [DeviceHistory(device, int(rows.get(device, 0)), ()) for device in devices]


def _spark_schema(plan: PlantPlan) -> str:
    kinds = {"string": "string", "int64": "bigint", "double": "double"}
    columns = schema_of(sensors_of(plan.fleet))
    return ", ".join([*(f"{c.name} {kinds[str(c.type)]}" for c in columns), "dt string"])
