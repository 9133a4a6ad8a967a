"""What QuickSight's reports ask of the lake: the statements of their data sets, with their columns.

Scores are in thresholds of their model, so 1 is where an episode may open. They are those that the
detector wrote as readings came (the table `live_scores`).
"""

from __future__ import annotations

HEALTH = """
select device_id,
 cast(from_unixtime(floor(event_time_ms / 600000.0) * 600.0) as timestamp) as moment,
 avg(1.0 / (1.0 + score)) as health, max(score) as score,
 case when max(score) >= 1.0 then 1.0 / 6.0 else 0.0 end as hours_above
from live_scores where score is not null group by 1, 2
"""
"""Ten minutes of a machine a row. Health is 1 for a score of 0, and a half at the threshold."""

FALSE_ALARMS = """
with found as (
 select device_id, cast(date_trunc('day', from_unixtime(event_time_ms / 1000.0)) as timestamp)
  as day_start, max(event_time_ms) as last_ms
 from live_scores where score >= 1.0 group by 1, 2)
select found.device_id, found.day_start,
 max(case when orders.order_id is null then 1 else 0 end) as false_alarms
from found left join maintenance as orders
 on orders.device_id = found.device_id and orders.type <> 'preventive'
 and orders.opened_ms between found.last_ms - 604800000 and found.last_ms + 604800000
group by 1, 2
"""
"""A day above the threshold is a false alarm when no repair was ordered within a week of it."""

MAINTENANCE = """
select device_id, type, cast(date_trunc('day', from_unixtime(opened_ms / 1000.0)) as timestamp)
 as day_start, count(*) as orders, sum(downtime_s) / 3600.0 as downtime_h,
 sum(total_cost) as total_cost
from maintenance group by 1, 2, 3
"""

DATA_SETS: dict[str, tuple[str, dict[str, str]]] = {
    "health": (
        HEALTH,
        {
            "device_id": "STRING",
            "moment": "DATETIME",
            "health": "DECIMAL",
            "score": "DECIMAL",
            "hours_above": "DECIMAL",
        },
    ),
    "false-alarms": (
        FALSE_ALARMS,
        {"device_id": "STRING", "day_start": "DATETIME", "false_alarms": "INTEGER"},
    ),
    "maintenance": (
        MAINTENANCE,
        {
            "device_id": "STRING",
            "type": "STRING",
            "day_start": "DATETIME",
            "orders": "INTEGER",
            "downtime_h": "DECIMAL",
            "total_cost": "DECIMAL",
        },
    ),
}
"""Name -> statement on the catalog, and the types of its columns."""
