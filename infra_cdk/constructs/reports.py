"""What QuickSight's reports show: the visuals of their one sheet, their places, their filters.

`reporting` deploys it. The columns are those of `report_queries`.
"""

from __future__ import annotations

from typing import Any

SHEET = "fleet"
WEAKEST = 8
"""Machines in the picture of health over time: more lines than that nobody reads."""


def _column(data_set: str, name: str) -> dict[str, str]:
    return {"DataSetIdentifier": data_set, "ColumnName": name}


def _by(field: str, data_set: str, name: str, granularity: str = "") -> dict[str, Any]:
    """Return a dimension; a time with a granularity."""
    body: dict[str, Any] = {"FieldId": field, "Column": _column(data_set, name)}
    if granularity:
        return {"DateDimensionField": {**body, "DateGranularity": granularity}}
    return {"CategoricalDimensionField": body}


def _value(
    field: str, data_set: str, name: str, how: str = "SUM", decimals: int = 0, unit: str = ""
) -> dict[str, Any]:
    """Return an aggregate of numbers."""
    written: dict[str, Any] = {"DecimalPlacesConfiguration": {"DecimalPlaces": decimals}}
    if unit:
        written["Suffix"] = f" {unit}"
    return {
        "NumericalMeasureField": {
            "FieldId": field,
            "Column": _column(data_set, name),
            "AggregationFunction": {"SimpleNumericalAggregation": how},
            "FormatConfiguration": {
                "FormatConfiguration": {"NumberDisplayFormatConfiguration": written}
            },
        }
    }


def _count(field: str, data_set: str, name: str) -> dict[str, Any]:
    return {
        "CategoricalMeasureField": {
            "FieldId": field,
            "Column": _column(data_set, name),
            "AggregationFunction": "DISTINCT_COUNT",
        }
    }


def _visual(
    kind: str, visual: str, title: str, chart: dict[str, Any], subtitle: str = ""
) -> dict[str, Any]:
    body: dict[str, Any] = {"VisualId": visual, "Title": _text(title), "ChartConfiguration": chart}
    if subtitle:
        body["Subtitle"] = _text(subtitle)
    return {kind: body}


def _text(words: str) -> dict[str, Any]:
    return {"Visibility": "VISIBLE", "FormatText": {"PlainText": words}}


def _sorted(field: str, direction: str) -> list[dict[str, Any]]:
    return [{"FieldSort": {"FieldId": field, "Direction": direction}}]


def _number(visual: str, title: str, value: dict[str, Any], *trend: dict[str, Any]) -> Any:
    chart: dict[str, Any] = {
        "FieldWells": {"Values": [value], "TargetValues": [], "TrendGroups": list(trend)}
    }
    if trend:
        chart["KPIOptions"] = {
            "Comparison": {"ComparisonMethod": "DIFFERENCE"},
            "Sparkline": {"Visibility": "VISIBLE", "Type": "AREA"},
        }
    return _visual("KPIVisual", visual, title, chart)


def _bars(
    visual: str, title: str, value: dict[str, Any], data_set: str, *colours: dict[str, Any]
) -> dict[str, Any]:
    """Return bars by machine, the twelve longest."""
    chart: dict[str, Any] = {
        "FieldWells": {
            "BarChartAggregatedFieldWells": {
                "Category": [_by(f"{visual}-device", data_set, "device_id")],
                "Values": [value],
                "Colors": list(colours),
            }
        },
        "SortConfiguration": {
            "CategorySort": _sorted(f"{visual}-value", "DESC"),
            "CategoryItemsLimit": {"ItemsLimit": 12, "OtherCategories": "EXCLUDE"},
        },
        "Orientation": "HORIZONTAL",
        "BarsArrangement": "STACKED" if colours else "CLUSTERED",
        "DataLabels": {"Visibility": "HIDDEN" if colours else "VISIBLE"},
    }
    return _visual("BarChartVisual", visual, title, chart)


def _health_lines() -> dict[str, Any]:
    chart = {
        "FieldWells": {
            "LineChartAggregatedFieldWells": {
                "Category": [_by("weakest-time", "health", "moment", "MINUTE")],
                "Values": [_value("weakest-value", "health", "health", "AVERAGE", 2)],
                "Colors": [_by("weakest-device", "health", "device_id")],
            }
        },
        "SortConfiguration": {"CategorySort": _sorted("weakest-time", "ASC")},
        "PrimaryYAxisDisplayOptions": {
            "AxisOptions": {
                "DataOptions": {
                    "NumericAxisOptions": {"Range": {"MinMax": {"Minimum": 0, "Maximum": 1}}}
                }
            }
        },
        "ReferenceLines": [
            {
                "Status": "ENABLED",
                "DataConfiguration": {"StaticConfiguration": {"Value": 0.5}},
                "LabelConfiguration": {"CustomLabelConfiguration": {"CustomLabel": "threshold"}},
            }
        ],
    }
    subtitle = "1: as it was learnt; 0.5: at the threshold of the model"
    title = f"Health of the {WEAKEST} weakest machines, the last day"
    return _visual("LineChartVisual", "weakest", title, chart, subtitle)


def _heat_map() -> dict[str, Any]:
    chart = {
        "FieldWells": {
            "HeatMapAggregatedFieldWells": {
                "Rows": [_by("heat-device", "health", "device_id")],
                "Columns": [_by("heat-time", "health", "moment", "MINUTE")],
                "Values": [_value("heat-value", "health", "score", "MAX", 2)],
            }
        },
        "SortConfiguration": {
            "HeatMapRowSort": _sorted("heat-device", "ASC"),
            "HeatMapColumnSort": _sorted("heat-time", "ASC"),
        },
        "ColorScale": {
            "ColorFillType": "GRADIENT",
            "Colors": [
                {"Color": "#EAF3EE", "DataValue": 0},
                {"Color": "#F3C65F", "DataValue": 1},
                {"Color": "#B3261E", "DataValue": 3},
            ],
        },
    }
    return _visual("HeatMapVisual", "heat", "Scores, in thresholds: the last eight hours", chart)


def _days() -> dict[str, Any]:
    chart = {
        "FieldWells": {
            "BarChartAggregatedFieldWells": {
                "Category": [_by("days-day", "health", "moment", "DAY")],
                "Values": [_value("days-value", "health", "hours_above", "SUM", 1)],
                "Colors": [_by("days-device", "health", "device_id")],
            }
        },
        "SortConfiguration": {
            "CategorySort": _sorted("days-day", "ASC"),
            "ColorSort": _sorted("days-value", "DESC"),
            "ColorItemsLimit": {"ItemsLimit": 10, "OtherCategories": "INCLUDE"},
        },
        "Orientation": "VERTICAL",
        "BarsArrangement": "STACKED",
    }
    return _visual("BarChartVisual", "days", "Hours above the threshold, by day", chart)


def _costs() -> dict[str, Any]:
    chart = {
        "FieldWells": {
            "PieChartAggregatedFieldWells": {
                "Category": [_by("work-type", "maintenance", "type")],
                "Values": [_value("work-value", "maintenance", "total_cost")],
            }
        },
        "SortConfiguration": {"CategorySort": _sorted("work-value", "DESC")},
        "DonutOptions": {"ArcOptions": {"ArcThickness": "MEDIUM"}},
    }
    return _visual("PieChartVisual", "work", "Cost of maintenance by kind of work", chart)


def _machines() -> dict[str, Any]:
    labels = {
        "machine-device": "Machine",
        "machine-health": "Health",
        "machine-worst": "Least health",
        "machine-score": "Highest score",
        "machine-hours": "Above threshold",
    }
    chart = {
        "FieldWells": {
            "TableAggregatedFieldWells": {
                "GroupBy": [_by("machine-device", "health", "device_id")],
                "Values": [
                    _value("machine-health", "health", "health", "AVERAGE", 2),
                    _value("machine-worst", "health", "health", "MIN", 2),
                    _value("machine-score", "health", "score", "MAX", 2),
                    _value("machine-hours", "health", "hours_above", "SUM", 1, "h"),
                ],
            }
        },
        "SortConfiguration": {
            "RowSort": _sorted("machine-score", "DESC"),
            "PaginationConfiguration": {"PageSize": 10, "PageNumber": 1},
        },
        "FieldOptions": {
            "SelectedFieldOptions": [
                {"FieldId": field, "CustomLabel": label} for field, label in labels.items()
            ]
        },
    }
    return _visual("TableVisual", "machine", "Machines, the highest score first", chart)


_PLACED: tuple[tuple[dict[str, Any], tuple[int, int, int, int]], ...] = (
    (
        _number(
            "health",
            "Health of the fleet",
            _value("health-value", "health", "health", "AVERAGE", 2),
            _by("health-time", "health", "moment", "HOUR"),
        ),
        (0, 0, 8, 4),
    ),
    (_number("count", "Machines", _count("count-value", "health", "device_id")), (8, 0, 7, 4)),
    (
        _number(
            "above", "Above the threshold", _value("a", "health", "hours_above", "SUM", 1, "h")
        ),
        (15, 0, 7, 4),
    ),
    (
        _number(
            "stood", "Standstill for work", _value("s", "maintenance", "downtime_h", "SUM", 1, "h")
        ),
        (22, 0, 7, 4),
    ),
    (
        _number("cost", "Cost of maintenance", _value("c", "maintenance", "total_cost")),
        (29, 0, 7, 4),
    ),
    (_health_lines(), (0, 4, 24, 12)),
    (_costs(), (24, 4, 12, 12)),
    (_heat_map(), (0, 16, 24, 14)),
    (
        _bars(
            "hours",
            "Hours above the threshold",
            _value("hours-value", "health", "hours_above", "SUM", 1),
            "health",
        ),
        (24, 16, 12, 14),
    ),
    (_machines(), (0, 30, 16, 11)),
    (
        _bars(
            "downtime",
            "Standstill for work, hours",
            _value("downtime-value", "maintenance", "downtime_h", "SUM", 1),
            "maintenance",
            _by("downtime-type", "maintenance", "type"),
        ),
        (16, 30, 10, 11),
    ),
    (
        _bars(
            "false-alarms",
            "Days above it, without a repair",
            _value("false-alarms-value", "false-alarms", "false_alarms"),
            "false-alarms",
        ),
        (26, 30, 10, 11),
    ),
    (_days(), (0, 41, 36, 9)),
)
"""Each visual with its place: column, row, width and height in the grid of 36 columns."""


def _filter(group: str, visual: str, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    scope = {"SheetId": SHEET, "Scope": "SELECTED_VISUALS", "VisualIds": [visual]}
    return {
        "FilterGroupId": group,
        "CrossDataset": "SINGLE_DATASET",
        "Status": "ENABLED",
        "ScopeConfiguration": {"SelectedSheets": {"SheetVisualScopingConfigurations": [scope]}},
        "Filters": [{kind: {"FilterId": f"{group}-filter", **body}}],
    }


def _latest(group: str, visual: str, hours: int) -> dict[str, Any]:
    return _filter(
        group,
        visual,
        "RelativeDatesFilter",
        {
            "Column": _column("health", "moment"),
            "AnchorDateConfiguration": {"AnchorOption": "NOW"},
            "TimeGranularity": "HOUR",
            "RelativeDateType": "LAST",
            "RelativeDateValue": hours,
            "NullOption": "NON_NULLS_ONLY",
        },
    )


FILTERS = (
    # Before the weakest: those are the weakest of this day.
    _latest("the-last-day", "weakest", 24),
    _filter(
        "the-weakest",
        "weakest",
        "TopBottomFilter",
        {
            "Column": _column("health", "device_id"),
            "Limit": WEAKEST,
            "AggregationSortConfigurations": [
                {
                    "Column": _column("health", "health"),
                    "SortDirection": "ASC",
                    "AggregationFunction": {
                        "NumericalAggregationFunction": {"SimpleNumericalAggregation": "MIN"}
                    },
                }
            ],
        },
    ),
    _latest("the-latest", "heat", 8),
)


def definition(data_sets: list[dict[str, str]]) -> dict[str, Any]:
    """Return the definition of the analysis and of the dashboard, on these data sets."""
    elements = [
        {
            "ElementId": next(iter(visual.values()))["VisualId"],
            "ElementType": "VISUAL",
            "ColumnIndex": column,
            "RowIndex": row,
            "ColumnSpan": width,
            "RowSpan": height,
        }
        for visual, (column, row, width, height) in _PLACED
    ]
    sheet = {
        "SheetId": SHEET,
        "Name": "Fleet",
        "Visuals": [visual for visual, _ in _PLACED],
        "Layouts": [{"Configuration": {"GridLayout": {"Elements": elements}}}],
    }
    return {
        "DataSetIdentifierDeclarations": data_sets,
        "Sheets": [sheet],
        "FilterGroups": list(FILTERS),
    }
