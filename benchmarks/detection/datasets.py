"""The recorded sets that the benchmark reads, each as runs of one shape; nothing is downloaded.

The folder is $FLEETWIN_DATA, else `shared/data` beside the repository. A set that is not there
raises `SetMissing` with the reason, and the benchmark goes on without it.
"""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DATA_VARIABLE = "FLEETWIN_DATA"
BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "data"

SKAB_TRAIN_ROWS = 400
SKAB_ROW_S, TEP_ROW_S, NAB_ROW_S = 1.0, 180.0, 300.0
TEP_ONSET_ROW = 160
# In faults 3, 9 and 15 the process moves no more than it does without a fault.
TEP_INVISIBLE = ("d03_te", "d09_te", "d15_te")
# So long is a run of SKAB after its first 400 rows.
SKAB_LIVE_ROWS = 750
# A history of 27 minutes at a row a second, instead of 7.
SKAB_LONG_ROWS = 1_600
# NAB leaves the first 15 % of each series to the detector as probation.
NAB_TRAIN_SHARE = 0.15


class SetMissing(Exception):
    """A set is not on this machine; the message says where it was looked for."""


@dataclass(frozen=True)
class Run:
    """One recorded run: `healthy` (n, d) to learn from, then `values` (m, d) with `labels` (m,).

    `history` says that `values` continue `healthy` without a break, so that a causal filter may
    start on it. `unseen` are healthy rows for the threshold alone; without them it comes from
    blocks of `healthy`. `row_s` is the time between two rows, None where the source has taken it
    away.
    """

    name: str
    healthy: NDArray[np.float64]
    values: NDArray[np.float64]
    labels: NDArray[np.bool_]
    history: bool
    unseen: NDArray[np.float64] | None = None
    row_s: float | None = None


def data_folder() -> Path:
    """Return the folder of all sets; it need not exist."""
    return Path(os.environ.get(DATA_VARIABLE) or BESIDE)


def skab(folder: Path, group: str = "valve1") -> list[Run]:
    """Return the runs of a SKAB group; the first 400 rows of each are its healthy history.

    Katser & Kozitsin, "Skoltech Anomaly Benchmark" (2020): 8 sensors of a pump rig at 1 Hz.
    """
    runs = []
    for path in _files(folder / "skab" / group, "*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        sensors = [name for name in rows[0] if name not in ("datetime", "anomaly", "changepoint")]
        values = np.array([[float(row[name]) for name in sensors] for row in rows])
        labels = np.array([float(row["anomaly"]) > 0 for row in rows])
        cut = SKAB_TRAIN_ROWS
        learnt, judged = values[:cut], values[cut:]
        runs.append(Run(path.stem, learnt, judged, labels[cut:], history=True, row_s=SKAB_ROW_S))
    return runs


def skab_healthy(folder: Path, history_rows: int = SKAB_TRAIN_ROWS) -> list[Run]:
    """Return SKAB's long recording without a fault, cut into stretches as long as its runs.

    With more `history_rows` than its runs have there are fewer stretches.
    """
    path = folder / "skab" / "anomaly-free" / "anomaly-free.csv"
    if not path.exists():
        raise SetMissing(f"no {path}")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    sensors = [name for name in rows[0] if name != "datetime"]
    values = np.array([[float(row[name]) for name in sensors] for row in rows])
    runs, size = [], history_rows + SKAB_LIVE_ROWS
    for start in range(0, len(values) - size + 1, size):
        healthy, live = np.split(values[start : start + size], [history_rows])
        labels = np.zeros(len(live), dtype=np.bool_)
        name = f"anomaly-free-{start}"
        runs.append(Run(name, healthy, live, labels, history=True, row_s=SKAB_ROW_S))
    return runs


def tep(folder: Path) -> list[Run]:
    """Return the test runs of the Tennessee Eastman process that have a visible fault."""
    return [run for run in _tep(folder) if run.name not in TEP_INVISIBLE]


def tep_invisible(folder: Path) -> list[Run]:
    """Return the test runs of the faults that detectors of one row can hardly see."""
    return [run for run in _tep(folder) if run.name in TEP_INVISIBLE]


def _tep(folder: Path) -> list[Run]:
    """Return all test runs, with `d00` as history.

    52 channels every 3 minutes; a fault starts at row 160 of 960 (Chiang, Russell & Braatz,
    2001). `d00`, stored transposed, is the healthy history; `d00_te` the threshold's rows.
    """
    where = folder / "tep"
    _files(where, "d*.dat")
    fit = np.loadtxt(where / "d00.dat")
    fit = fit.T if fit.shape[0] == 52 else fit
    unseen = np.loadtxt(where / "d00_te.dat")
    runs = []
    for path in _files(where, "d*_te.dat"):
        if path.stem == "d00_te":
            continue
        values = np.loadtxt(path)
        labels = np.arange(len(values)) >= TEP_ONSET_ROW
        runs.append(
            Run(path.stem, fit, values, labels, history=False, unseen=unseen, row_s=TEP_ROW_S)
        )
    return runs


def msl(folder: Path) -> list[Run]:
    """Return the MSL series of TSB-AD-M: 55 channels of the Curiosity rover.

    Telemetry and commands (Hundman et al., KDD 2018).
    """
    return _tsb_ad(folder / "tsbad-msl")


def smap(folder: Path) -> list[Run]:
    """Return the SMAP series of TSB-AD-M: 25 channels of a satellite, from the same source."""
    return _tsb_ad(folder / "tsbad-smap")


def _tsb_ad(folder: Path) -> list[Run]:
    """Return series of TSB-AD-M; `values` is the whole series, as TSB-AD scores it.

    The publisher took the times of the rows away, so that there is no `row_s`.
    """
    runs = []
    for path in _files(folder, "*.npz"):
        with np.load(path) as stored:
            x = stored["x"].astype(np.float64)
            labels = stored["label"].astype(bool).ravel()
            cut = int(stored["train_rows"])
        runs.append(Run(path.stem, x[:cut], x, labels, history=False))
    return runs


def nab(folder: Path) -> list[Run]:
    """Return NAB's machine temperature (5 min); its windows of failure are the labels."""
    where = folder / "nab"
    name = "realKnownCause/machine_temperature_system_failure.csv"
    path = where / name
    if not path.exists():
        raise SetMissing(f"no {path}")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    times = np.array([datetime.fromisoformat(row["timestamp"]) for row in rows])
    values = np.array([[float(row["value"])] for row in rows])
    windows = json.loads((where / "windows.json").read_text(encoding="utf-8"))[name]
    labels = np.zeros(len(rows), dtype=np.bool_)
    for start, end in windows:
        labels |= (times >= datetime.fromisoformat(start)) & (times <= datetime.fromisoformat(end))
    cut = int(NAB_TRAIN_SHARE * len(rows))
    learnt, judged = values[:cut], values[cut:]
    return [Run("machine_temperature", learnt, judged, labels[cut:], history=True, row_s=NAB_ROW_S)]


def _files(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    if not found:
        raise SetMissing(f"no {pattern} in {folder}; set {DATA_VARIABLE} to the folder of all sets")
    return found
