"""What of a QuickSight definition is drawn; everything else is refused by its path.

One tree: a name leads to what may stand below it, `WHOLE` takes what is there. `check` is called
before any query runs, so a dashboard is drawn as it is defined or not at all. Names: QuickSight
API reference, "DashboardVersionDefinition".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simulator.errors import SimulatorError

Tree = Mapping[str, Any]
WHOLE: Tree = {}


class NotDrawn(SimulatorError):
    """A definition has what is not drawn here; the message names each such place."""


def _all(*names: str) -> dict[str, Tree]:
    return dict.fromkeys(names, WHOLE)


COLUMN = _all("DataSetIdentifier", "ColumnName")
AGGREGATION = {
    "NumericalAggregationFunction": {
        "SimpleNumericalAggregation": WHOLE,
        "PercentileAggregation": _all("PercentileValue"),
    },
    **_all("CategoricalAggregationFunction", "DateAggregationFunction"),
}
_NUMBER = {**_all("Prefix", "Suffix"), "DecimalPlacesConfiguration": _all("DecimalPlaces")}
NUMBER_FORMAT = {
    "FormatConfiguration": {
        "NumberDisplayFormatConfiguration": _NUMBER,
        "PercentageDisplayFormatConfiguration": _NUMBER,
        "CurrencyDisplayFormatConfiguration": {**_NUMBER, "Symbol": WHOLE},
    }
}
DIMENSION = {
    "CategoricalDimensionField": {"FieldId": WHOLE, "Column": COLUMN},
    "DateDimensionField": {"FieldId": WHOLE, "Column": COLUMN, "DateGranularity": WHOLE},
    "NumericalDimensionField": {"FieldId": WHOLE, "Column": COLUMN},
}
MEASURE = {
    "NumericalMeasureField": {
        "FieldId": WHOLE,
        "Column": COLUMN,
        "AggregationFunction": AGGREGATION["NumericalAggregationFunction"],
        "FormatConfiguration": NUMBER_FORMAT,
    },
    "CategoricalMeasureField": {"FieldId": WHOLE, "Column": COLUMN, "AggregationFunction": WHOLE},
    "DateMeasureField": {"FieldId": WHOLE, "Column": COLUMN, "AggregationFunction": WHOLE},
}
SORT = {
    "FieldSort": _all("FieldId", "Direction"),
    "ColumnSort": {"SortBy": COLUMN, "Direction": WHOLE, "AggregationFunction": AGGREGATION},
}
LIMIT = _all("ItemsLimit", "OtherCategories")
AXIS = {
    "DataOptions": {
        "NumericAxisOptions": {"Range": {"MinMax": _all("Minimum", "Maximum"), "DataDriven": WHOLE}}
    }
}
REFERENCE_LINES = {
    "Status": WHOLE,
    "DataConfiguration": {"StaticConfiguration": _all("Value")},
    "LabelConfiguration": {"CustomLabelConfiguration": _all("CustomLabel")},
}
LEGEND = _all("Visibility")

CHARTS: Mapping[str, Tree] = {
    "KPIVisual": {
        "FieldWells": {"Values": MEASURE, "TargetValues": MEASURE, "TrendGroups": DIMENSION},
        "KPIOptions": {
            "Comparison": _all("ComparisonMethod"),
            "Sparkline": _all("Visibility", "Type"),
        },
    },
    "LineChartVisual": {
        "FieldWells": {
            "LineChartAggregatedFieldWells": {
                "Category": DIMENSION,
                "Values": MEASURE,
                "Colors": DIMENSION,
            }
        },
        "SortConfiguration": {
            "CategorySort": SORT,
            "CategoryItemsLimitConfiguration": LIMIT,
            "ColorItemsLimitConfiguration": LIMIT,
        },
        "Type": WHOLE,
        "PrimaryYAxisDisplayOptions": {"AxisOptions": AXIS},
        "ReferenceLines": REFERENCE_LINES,
        "Legend": LEGEND,
    },
    "BarChartVisual": {
        "FieldWells": {
            "BarChartAggregatedFieldWells": {
                "Category": DIMENSION,
                "Values": MEASURE,
                "Colors": DIMENSION,
            }
        },
        "SortConfiguration": {
            "CategorySort": SORT,
            "CategoryItemsLimit": LIMIT,
            "ColorSort": SORT,
            "ColorItemsLimit": LIMIT,
        },
        "Orientation": WHOLE,
        "BarsArrangement": WHOLE,
        "DataLabels": _all("Visibility"),
        "Legend": LEGEND,
    },
    "PieChartVisual": {
        "FieldWells": {"PieChartAggregatedFieldWells": {"Category": DIMENSION, "Values": MEASURE}},
        "SortConfiguration": {"CategorySort": SORT, "CategoryItemsLimit": LIMIT},
        "DonutOptions": {"ArcOptions": _all("ArcThickness")},
        "Legend": LEGEND,
    },
    "HeatMapVisual": {
        "FieldWells": {
            "HeatMapAggregatedFieldWells": {
                "Rows": DIMENSION,
                "Columns": DIMENSION,
                "Values": MEASURE,
            }
        },
        "SortConfiguration": {
            "HeatMapRowSort": SORT,
            "HeatMapColumnSort": SORT,
            "HeatMapRowItemsLimitConfiguration": LIMIT,
            "HeatMapColumnItemsLimitConfiguration": LIMIT,
        },
        "ColorScale": {
            "Colors": _all("Color", "DataValue"),
            "ColorFillType": WHOLE,
            "NullValueColor": _all("Color"),
        },
        "Legend": LEGEND,
    },
    "TableVisual": {
        "FieldWells": {
            "TableAggregatedFieldWells": {"GroupBy": DIMENSION, "Values": MEASURE},
            "TableUnaggregatedFieldWells": {
                "Values": {"FieldId": WHOLE, "Column": COLUMN, "FormatConfiguration": WHOLE}
            },
        },
        "SortConfiguration": {
            "RowSort": {"FieldSort": SORT["FieldSort"]},
            "PaginationConfiguration": _all("PageSize", "PageNumber"),
        },
        "FieldOptions": {"SelectedFieldOptions": _all("FieldId", "CustomLabel", "Visibility")},
    },
}
"""The chart configurations that are drawn, by the kind of visual."""

_TITLE = {"Visibility": WHOLE, "FormatText": _all("PlainText")}
_NAMED = {"FilterId": WHOLE, "Column": COLUMN}
_FILTER = {**_NAMED, "NullOption": WHOLE}
_RANGE = {**_FILTER, **_all("IncludeMinimum", "IncludeMaximum")}
_LISTED = _all("MatchOperator", "CategoryValues", "NullOption", "SelectAllOptions")
FILTERS: Mapping[str, Tree] = {
    "CategoryFilter": {
        **_NAMED,
        "Configuration": {
            "FilterListConfiguration": _LISTED,
            "CustomFilterListConfiguration": _LISTED,
            "CustomFilterConfiguration": _all("MatchOperator", "CategoryValue", "NullOption"),
        },
    },
    "NumericRangeFilter": {
        **_RANGE,
        "RangeMinimum": _all("StaticValue"),
        "RangeMaximum": _all("StaticValue"),
    },
    "NumericEqualityFilter": {**_FILTER, **_all("Value", "MatchOperator")},
    "TimeRangeFilter": {
        **_RANGE,
        "RangeMinimumValue": _all("StaticValue"),
        "RangeMaximumValue": _all("StaticValue"),
        "TimeGranularity": WHOLE,
    },
    "RelativeDatesFilter": {
        **_FILTER,
        "AnchorDateConfiguration": _all("AnchorOption"),
        **_all("TimeGranularity", "RelativeDateType", "RelativeDateValue"),
    },
    "TopBottomFilter": {
        **_NAMED,
        "Limit": WHOLE,
        "AggregationSortConfigurations": {
            "Column": COLUMN,
            "SortDirection": WHOLE,
            "AggregationFunction": AGGREGATION,
        },
    },
}
DEFINITION: Tree = {
    "DataSetIdentifierDeclarations": _all("Identifier", "DataSetArn"),
    "Sheets": {
        **_all("SheetId", "Name", "Title", "Description", "ContentType"),
        "Visuals": {
            kind: {
                "VisualId": WHOLE,
                "Title": _TITLE,
                "Subtitle": _TITLE,
                "ChartConfiguration": chart,
            }
            for kind, chart in CHARTS.items()
        },
        "Layouts": {
            "Configuration": {
                "GridLayout": {
                    "Elements": _all(
                        *("ElementId", "ElementType", "ColumnIndex", "ColumnSpan"),
                        *("RowIndex", "RowSpan"),
                    ),
                    "CanvasSizeOptions": WHOLE,
                }
            }
        },
    },
    "FilterGroups": {
        **_all("FilterGroupId", "CrossDataset", "Status"),
        "Filters": FILTERS,
        "ScopeConfiguration": {
            "AllSheets": WHOLE,
            "SelectedSheets": {
                "SheetVisualScopingConfigurations": _all("SheetId", "Scope", "VisualIds")
            },
        },
    },
}


def check(definition: Mapping[str, Any]) -> None:
    """Raise NotDrawn with the path of everything that would be left out."""
    found = sorted(set(_refused(definition, DEFINITION, "")))
    if found:
        kinds = ", ".join(sorted(name.removesuffix("Visual") for name in CHARTS))
        raise NotDrawn(
            f"not drawn: {'; '.join(found)}. Drawn are {kinds}; take it out of a copy of the "
            "definition, or look at it in QuickSight"
        )


def _refused(value: Any, tree: Tree, path: str) -> Iterator[str]:
    if tree is WHOLE:
        return
    if isinstance(value, list):
        for each in value:
            yield from _refused(each, tree, path)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            where = f"{path}.{name}".lstrip(".")
            if name in tree:
                yield from _refused(inner, tree[name], where)
            elif inner not in ({}, [], None):
                yield where + _named(inner)


def _named(value: Any) -> str:
    """Return which visual it is, where a visual as a whole is not drawn."""
    return f" ({value['VisualId']})" if isinstance(value, Mapping) and "VisualId" in value else ""
