"""What a detector is worth, in numbers; called by the benchmark's sets, pure NumPy.

Threshold-free: `vus_pr`, `average_precision`. At one threshold: `Confusion` (the F1, FAR and MAR of
SKAB's table), `event_report` (recall of events, delays, false-alarm episodes), `lead_times`,
`rate_ratio`. There is no point adjustment: it flatters random scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Levels at which the range-aware curve is taken, as in TSB-AD.
LEVELS = 250

# A period of the series is looked for in this range of lags; beyond, and where there is none,
# TSB-AD takes its fixed length.
PERIOD_LAGS = (3, 300)
LARGEST_LAG = 400
NO_PERIOD_ROWS = 125


def spans(labels: Mask) -> list[tuple[int, int]]:
    """Return the [start, stop) of each run of true values of an (n,) mask."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], labels.astype(np.int8), [0]])))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def average_precision(labels: Mask, scores: Floats) -> float:
    """Return the area under the precision-recall curve of (n,) scores, equal scores together.

    The step-wise sum of precision times the gain in recall; NaN without a positive label.
    """
    positives = int(labels.sum())
    if not positives:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(labels[order])
    last = np.append(np.diff(scores[order]) != 0, True)
    recall = hits[last] / positives
    precision = hits[last] / (np.flatnonzero(last) + 1)
    return float(np.sum(np.diff(np.concatenate([[0.0], recall])) * precision))


def period_rows(values: Floats) -> int:
    """Return the series' period: the lag of its autocorrelation's highest peak.

    The rule by which TSB-AD takes the buffer of each series from its first channel (n,).
    """
    values = values[:20_000] - values[:20_000].mean()
    power = float(values @ values)
    lags = min(LARGEST_LAG, len(values) - 1)
    if not power > 0.0 or lags < PERIOD_LAGS[0] + 2:
        return NO_PERIOD_ROWS
    size = 2 * len(values)
    spectrum = np.abs(np.fft.rfft(values, size)) ** 2
    correlation = np.fft.irfft(spectrum, size)[PERIOD_LAGS[0] : lags + 1] / power
    inner = correlation[1:-1]
    peaks = np.flatnonzero((inner > correlation[:-2]) & (inner > correlation[2:])) + 1
    if not len(peaks):
        return NO_PERIOD_ROWS
    best = int(peaks[np.argmax(correlation[peaks])])
    if not PERIOD_LAGS[0] <= best <= PERIOD_LAGS[1]:
        return NO_PERIOD_ROWS
    return best + PERIOD_LAGS[0]


def soft_labels(labels: Mask, buffer_rows: int) -> Floats:
    """Return labels (n,) that fall off before and after each event, over half the buffer a side.

    At distance x from an event the label is sqrt(1 - x / buffer), which ends at sqrt(1/2):
    Paparrizos et al., "Volume under the surface", PVLDB 15 (2022), section 4.1.
    """
    soft = labels.astype(np.float64)
    half = buffer_rows // 2
    if not half:
        return soft
    slope = np.sqrt(1.0 - np.arange(1, half + 1) / buffer_rows)
    for start, stop in spans(labels):
        before = min(half, start)
        after = min(half, len(soft) - stop)
        soft[start - before : start] += slope[:before][::-1]
        soft[stop : stop + after] += slope[:after]
    return np.minimum(soft, 1.0)


def vus_pr(labels: Mask, scores: Floats, buffer_rows: int) -> float:
    """Return the volume under the range-aware precision-recall surface; NaN without an event.

    The area under the curve of (n,) scores against `soft_labels`, averaged over all buffers from
    0 to `buffer_rows`: Paparrizos et al., PVLDB 15 (2022), with the existence reward on recall
    and, as in TSB-AD, at `LEVELS` quantiles of the score.
    """
    events = spans(labels)
    if not events:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    levels = ranked[np.linspace(0, len(scores) - 1, LEVELS).astype(np.int64)]
    taken = np.searchsorted(-ranked, -levels, side="right")
    positives = float(labels.sum())
    areas = []
    for buffer in range(buffer_rows + 1):
        soft = soft_labels(labels, buffer)
        hits = np.cumsum(soft[order])[taken - 1]
        soft[labels] = 0.0
        near = np.cumsum(soft[order])[taken - 1]
        regions = spans((soft > 0.0) | labels)
        best = np.sort([scores[start:stop].max() for start, stop in regions])
        existing = 1.0 - np.searchsorted(best, levels, side="left") / len(regions)
        recall = np.minimum(hits / (positives + near / 2.0), 1.0) * existing
        gains = np.diff(np.concatenate([[0.0], recall]))
        areas.append(float(np.sum(gains * hits / taken)))
    return float(np.mean(areas))


@dataclass(frozen=True)
class Confusion:
    """Row counts at one threshold; rates are those of SKAB's table."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @classmethod
    def of(cls, labels: Mask, alarms: Mask) -> Confusion:
        """Count (n,) alarms against (n,) labels."""
        return cls(
            int(np.sum(labels & alarms)),
            int(np.sum(~labels & alarms)),
            int(np.sum(labels & ~alarms)),
            int(np.sum(~labels & ~alarms)),
        )

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
            self.true_negatives + other.true_negatives,
        )

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), 0 when nothing is positive."""
        wrong = self.false_positives + self.false_negatives
        return _ratio(2 * self.true_positives, 2 * self.true_positives + wrong)

    @property
    def false_alarm_rate(self) -> float:
        """The share of healthy rows that alarm, 0 to 1."""
        return _ratio(self.false_positives, self.false_positives + self.true_negatives)

    @property
    def missed_alarm_rate(self) -> float:
        """The share of faulty rows that do not alarm, 0 to 1."""
        return _ratio(self.false_negatives, self.false_negatives + self.true_positives)


@dataclass(frozen=True)
class EventReport:
    """Events of one run: delays of those found, and the episodes that belong to none."""

    events: int
    delays_rows: tuple[int, ...]
    false_episodes: int


def event_report(labels: Mask, alarms: Mask) -> EventReport:
    """Compare (n,) alarms with the events of (n,) labels.

    An event is found at its first alarmed row. A false episode is a run of alarms that *begins*
    outside every event, even when an event catches up with it: someone was called for nothing.
    """
    starts = [start for start, _ in spans(alarms)]
    delays = []
    for start, stop in spans(labels):
        inside = np.flatnonzero(alarms[start:stop])
        if len(inside):
            delays.append(int(inside[0]))
    false = sum(not labels[start] for start in starts)
    return EventReport(len(spans(labels)), tuple(delays), false)


def lead_times(alarm_starts: Sequence[float], onset: float, failure: float) -> tuple[float, float]:
    """Return (lead, share): time from the first alarm in [onset, failure] to the failure, and
    its share of the fault's growth time; (0, 0) when there was no alarm in time.

    Raises ValueError when the failure is not after the onset.
    """
    if not failure > onset:
        raise ValueError(f"failure at {failure} is not after the onset at {onset}")
    inside = [start for start in alarm_starts if onset <= start <= failure]
    if not inside:
        return 0.0, 0.0
    lead = failure - min(inside)
    return lead, lead / (failure - onset)


@dataclass(frozen=True)
class Rate:
    """A count over an exposure, with its 95 % Poisson interval (Garwood, Biometrika 1936)."""

    count: int
    exposure: float

    @property
    def value(self) -> float:
        """Events per unit of exposure."""
        return self.count / self.exposure

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95 % interval of the rate."""
        low = chi2.ppf(0.025, 2 * self.count) / 2 if self.count else 0.0
        high = chi2.ppf(0.975, 2 * (self.count + 1)) / 2
        return float(low) / self.exposure, float(high) / self.exposure


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
