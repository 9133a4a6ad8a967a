"""What a baseline allows, and what a window of traffic violates (Model Monitor's schema).

`suggest` makes constraints.json of columns, `violations` the list of constraint_violations.json.
Schemas: SageMaker developer guide, "Schema for Constraints (constraints.json file)" and "Schema
for Violations (constraint_violations.json file)". Descriptions are for people, never parsed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.monitoring import distance
from pipeline.monitoring.columns import Column, stored_categories, stored_sketch
from pipeline.monitoring.sketch import KllSketch

MAX_DOMAIN = 100
"""A text column with more values in its baseline is free text: no domain is suggested."""


def suggest(columns: Sequence[Column], limits: Mapping[str, float]) -> dict[str, Any]:
    """Return constraints.json; `limits` are distances by feature, where some are known.

    A limit is the feature's own `comparison_threshold` in its monitoringConfigOverrides.
    """
    return {
        "version": 0,
        "features": [_feature(column, limits.get(column.name)) for column in columns],
        "monitoring_config": {
            "evaluate_constraints": "Enabled",
            "emit_metrics": "Enabled",
            "datatype_check_threshold": 1.0,
            "domain_content_threshold": 1.0,
            "distribution_constraints": {
                "perform_comparison": "Enabled",
                "comparison_threshold": 0.1,
                "comparison_method": "Robust",
                "categorical_comparison_threshold": 0.1,
                "categorical_drift_method": "LInfinity",
            },
        },
    }


def _feature(column: Column, limit: float | None) -> dict[str, Any]:
    kind = column.inferred_type
    feature: dict[str, Any] = {
        "name": column.name,
        "inferred_type": kind,
        "completeness": column.completeness,
    }
    if kind in ("Integral", "Fractional"):
        feature["num_constraints"] = {"is_non_negative": bool(column.numbers.min() >= 0.0)}
    elif kind == "String" and len(set(column.texts)) <= MAX_DOMAIN:
        feature["string_constraints"] = {"domains": sorted(set(column.texts))}
    if limit is not None:
        feature["monitoringConfigOverrides"] = {
            "distribution_constraints": {
                "comparison_threshold": limit,
                "comparison_method": "Simple",
            }
        }
    return feature


def violations(
    columns: Sequence[Column],
    constraints: Mapping[str, Any],
    baseline: Mapping[str, Any],
    healthy: Mapping[str, Column],
) -> list[dict[str, str]]:
    """Return what a window violates, in the order of the baseline's features.

    `columns` are all rows, for the exact checks; `healthy` are the columns without the rows of
    machines in alarm, for drift: a feature that is not in it is not judged for drift.
    """
    seen = {column.name: column for column in columns}
    wanted = {feature["name"]: feature for feature in constraints["features"]}
    stored = {feature["name"]: feature for feature in baseline["features"]}
    config = constraints["monitoring_config"]
    found: list[dict[str, str]] = []
    for name, feature in wanted.items():
        if name not in seen:
            found.append(_violation(name, "missing_column_check", "The column is not there"))
            continue
        found.extend(_exact(seen[name], feature, config))
        if name in healthy and name in stored:
            found.extend(_drift(healthy[name], feature, config, stored[name]))
    found.extend(
        _violation(name, "extra_column_check", "The baseline has no such column")
        for name in seen
        if name not in wanted
    )
    return found


def _violation(name: str, check: str, description: str) -> dict[str, str]:
    return {"feature_name": name, "constraint_check_type": check, "description": description}


def _exact(
    column: Column, feature: Mapping[str, Any], config: Mapping[str, Any]
) -> list[dict[str, str]]:
    found = []
    kind = feature["inferred_type"]
    share = column.share_of_type(kind)
    if share < config["datatype_check_threshold"]:
        text = f"{share:.2%} of the values are {kind}, at least "
        text += f"{config['datatype_check_threshold']:.2%} must be"
        found.append(_violation(column.name, "data_type_check", text))
    if column.completeness < feature["completeness"]:
        text = f"{column.completeness:.2%} of the values are there, at least "
        text += f"{feature['completeness']:.2%} must be"
        found.append(_violation(column.name, "completeness_check", text))
    domains = feature.get("string_constraints", {}).get("domains")
    if domains is not None and column.texts:
        known = sum(text in set(domains) for text in column.texts) / len(column.texts)
        if known < config["domain_content_threshold"]:
            text = f"{known:.2%} of the values are known ones, at least "
            text += f"{config['domain_content_threshold']:.2%} must be"
            found.append(_violation(column.name, "categorical_values_check", text))
    return found


def _drift(
    column: Column,
    feature: Mapping[str, Any],
    config: Mapping[str, Any],
    stored: Mapping[str, Any],
) -> list[dict[str, str]]:
    general = config["distribution_constraints"]
    own = feature.get("monitoringConfigOverrides", {}).get("distribution_constraints", {})
    rule = {**general, **own}
    if rule["perform_comparison"] != "Enabled":
        return []
    sketch, categories = stored_sketch(stored), stored_categories(stored)
    if sketch is not None and len(column.numbers):
        apart = distance.simple(KllSketch.of(column.numbers), sketch)
        if rule["comparison_method"] == "Robust":
            apart = distance.robust(apart, len(column.numbers), sketch.count())
        limit = rule["comparison_threshold"]
    elif categories and column.texts:
        if rule["categorical_drift_method"] != "LInfinity":
            raise ValueError(f"categorical_drift_method {rule['categorical_drift_method']!r}")
        apart = distance.categorical(Counter(column.texts), categories, corrected=True)
        limit = rule["categorical_comparison_threshold"]
    else:
        return []
    if apart <= limit:
        return []
    text = f"The distribution is {apart:.4f} from the baseline's, at most {limit:.4f} is usual"
    return [_violation(column.name, "baseline_drift_check", text)]
