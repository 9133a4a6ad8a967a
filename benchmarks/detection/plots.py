"""Pictures of the comparison on SKAB: precision-recall, delays, and the score over one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detection import metrics
from benchmarks.detection.judging import Trace

SET_NAME = "skab"
COMPARED = ("pipeline", "residual_only", "mahalanobis", "no_model", "random")
SHOWN_RUN = 0


def draw(folder: Path, traces: Mapping[tuple[str, str], Sequence[Trace]]) -> None:
    """Write the pictures of SKAB into a folder, where SKAB was run."""
    if (SET_NAME, "pipeline") not in traces:
        return
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    mpl.use("svg")
    # Nothing in the files may depend on when and where they were drawn.
    mpl.rcParams.update({"svg.hashsalt": "detection", "font.size": 9})
    mine = traces[SET_NAME, "pipeline"]
    pictures: dict[str, Callable[[Any], None]] = {
        "precision-recall": lambda axes: _curves(axes, traces),
        "delays": lambda axes: _delays(axes, mine),
        "run": lambda axes: _run(axes, mine[SHOWN_RUN]),
    }
    for name, paint in pictures.items():
        figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
        paint(axes)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        figure.savefig(folder / f"detection-{name}.svg", metadata={"Date": None})
        plt.close(figure)


def precision_recall(traces: Sequence[Trace]) -> tuple[metrics.Floats, metrics.Floats]:
    """Return recall and precision (k,) of all runs together, from the highest score down."""
    labels = np.concatenate([trace.labels for trace in traces])
    scores = np.concatenate([trace.scores for trace in traces])
    hits = np.cumsum(labels[np.argsort(-scores, kind="stable")])
    return hits / labels.sum(), hits / np.arange(1, len(labels) + 1)


def _curves(axes: Any, traces: Mapping[tuple[str, str], Sequence[Trace]]) -> None:
    for name in COMPARED:
        if (SET_NAME, name) in traces:
            recall, precision = precision_recall(traces[SET_NAME, name])
            step = max(1, len(recall) // 500)
            axes.plot(recall[::step], precision[::step], label=name, linewidth=1.2)
    axes.set(xlabel="recall (rows)", ylabel="precision (rows)", ylim=(0.4, 1.02))
    axes.legend(frameon=False)


def _delays(axes: Any, traces: Sequence[Trace]) -> None:
    delays = [delay for trace in traces for delay in trace.delays_rows]
    axes.hist(delays, bins=np.arange(0, 130, 10), color="#2a7f62")
    axes.set(xlabel="seconds from the fault's start to the first alarm", ylabel="runs")


def _run(axes: Any, trace: Trace) -> None:
    for start, stop in metrics.spans(trace.labels):
        axes.axvspan(start, stop, color="#f0a35e", alpha=0.35, label="fault")
    for number, (start, stop) in enumerate(metrics.spans(trace.alarms)):
        label = "alarm" if number == 0 else None
        axes.hlines(0.06, start, stop, color="#2a7f62", linewidth=5, label=label)
    axes.plot(trace.scores, color="#33415c", linewidth=1.0, label="score")
    axes.axhline(1.0, color="#999999", linewidth=0.8)
    axes.set(xlabel="seconds", ylabel="score (thresholds)", yscale="log", ylim=(0.05, None))
    axes.legend(frameon=False, loc="upper right")
