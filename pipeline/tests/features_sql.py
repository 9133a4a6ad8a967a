"""The features' definitions once more, written independently as SQL for DuckDB.

`test_features_oracle` holds the kernel against it, `parity_tests/journey` a whole run. Bursts are
not in it.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from pipeline.settings import FeatureSpec

STATISTICS = {
    "mean": "avg({v})",
    "std": "stddev_pop({v})",
    "slope": "case when max(t) = min(t) then 0 else regr_slope({v}, (t - {newest}) / 1000.0) end",
    "min": "min({v})",
    "max": "max({v})",
    "difference": "list({v} order by t, seq)[-1] - coalesce(list({v} order by t, seq)[-2], "
    "list({v} order by t, seq)[-1])",
    "ewma": "sum({v} * exp((t - {newest}) / ({w} / 3.0))) / sum(exp((t - {newest}) / ({w} / 3.0)))",
}
"""Each statistic of one sensor's values ``v`` at times ``t`` in a window of ``w`` ms."""


def window_sql(window_ms: int, spec: FeatureSpec, suffix: str) -> str:
    """Return the query of one window's features of every grid point."""
    sensors = []
    for sensor in spec.sensors:
        columns = ", ".join(
            f"{STATISTICS[name].format(v='v', w=window_ms, newest='newest')}"
            f" as {sensor}_{name}{suffix}"
            for name in spec.statistics
        )
        sensors.append(
            f"""select device, at_ms, {columns} from (
                select g.device, g.at_ms, r.t, r.seq, r.{sensor} as v,
                    max(r.t) over (partition by g.device, g.at_ms) as newest
                from grid g join readings r
                    on r.device = g.device and r.t > g.at_ms - {window_ms} and r.t <= g.at_ms
                where r.{sensor} is not null) group by device, at_ms"""
        )
    counted = f"""select g.device, g.at_ms, count(*) as n{suffix or "_main"},
            count(*) filter (r.t - r.before > {spec.gap_ms} and r.before > g.at_ms - {window_ms})
                as gap_count{suffix}
        from grid g join steps r
            on r.device = g.device and r.t > g.at_ms - {window_ms} and r.t <= g.at_ms
        group by g.device, g.at_ms"""
    joined = f"({counted})"
    for query in sensors:
        joined += f" left join ({query}) using (device, at_ms)"
    return f"select * from {joined}"


def oracle(readings: pa.Table, upper_ms: int, spec: FeatureSpec) -> pa.Table:
    """Return the rows of a spec without bursts, NULL where there is nothing."""
    connection = duckdb.connect()
    connection.register("readings", readings)
    connection.execute(
        f"""create table grid as select distinct device, at_ms from (
            select device, unnest(range(
                cast(ceil(t / {spec.hop_ms}.0) as bigint) * {spec.hop_ms},
                least(t + {spec.window_ms}, {upper_ms}), {spec.hop_ms})) as at_ms
            from readings)"""
    )
    connection.execute(
        "create table steps as select *, lag(t) over (partition by device order by t, seq) as"
        " before from readings"
    )
    windows = [(spec.window_ms, "")]
    windows += [(ms, f"_{ms / 1000:g}s".replace(".", "_")) for ms in spec.long_windows_ms]
    joined = " join ".join(
        f"({window_sql(ms, spec, suffix)})" + (" using (device, at_ms)" if suffix else "")
        for ms, suffix in windows
    )
    ratios = ", ".join(
        f"{above}_mean / nullif({below}_mean, 0) as {above}_per_{below}"
        for above, below in spec.ratios
    )
    return connection.sql(
        f"select *, {ratios} from {joined} where n_main >= {spec.min_count} order by device, at_ms"
    ).to_arrow_table()
