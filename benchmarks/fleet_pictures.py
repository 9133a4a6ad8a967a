"""Draws every kind of machine and every fault: ``python -m benchmarks.fleet_pictures [FOLDER]``.

`docs/fleet.md` shows the pictures. A kind is shown by half an hour of all its sensors; a fault by
the channels that it moves most, the healthy twin of the same machine in grey behind them, and
by the spectrum (or the spectrum of the envelope) in which an analyst would look for it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.fleet.catalogue import DEVICE_FAULTS, FAULTS, KINDS, SENSOR_FAULTS
from simulator.fleet.clock import DeviceClock
from simulator.fleet.machine import Block, Machine
from simulator.fleet.settings import ClockSettings, FaultPlan, FleetSettings
from simulator.fleet.spectra import envelope_spectrum, spectrum
from simulator.fleet.streams import FloatArray
from simulator.fleet.vibration import SCALE_M_S2

FOLDER = Path("docs/images/fleet")
LIVE_S = 600.0
ONSET_S, DURATION_S, TOTAL_S = 600.0, 1_500.0, 2_400.0
SETTINGS = FleetSettings(burst_period_s=300.0, burst_rate_hz=24_000, burst_length_s=4.0)
SEED = 7
INK, SOFT, HEALTHY, FAULTY, TRUTH = "#1d2733", "#5b6b7b", "#9aa7b4", "#b4541a", "#f6e3d2"
ENVELOPE_BAND_HZ = (2_500.0, 4_500.0)
BY_ENVELOPE = frozenset(
    {"bearing_outer_race", "bearing_inner_race", "bearing_ball", "bearing_cage", "gear_tooth"}
)
RANGES_HZ = {
    "cavitation": (100.0, 12_000.0),
    "lubrication_loss": (100.0, 12_000.0),
    "rotor_bar": (16.0, 32.0),
    "gear_tooth": (2.0, 200.0),
}
"""Where to look for a fault, if not below 600 Hz."""
SHOWN_ON = {"rotor_bar": "electric_motor", "bearing_inner_race": "electric_motor"}
TITLES = {
    "temperature_c": "temperature, °C",
    "velocity_mm_s_rms": "velocity, mm/s RMS",
    "pressure_bar": "pressure, bar",
    "flow_m3_h": "flow, m³/h",
    "current_a": "current, A",
    "speed_rpm": "speed, rpm",
}


@dataclass(frozen=True)
class Recorded:
    """One machine's samples and its last burst (acceleration in m/s2) under load."""

    block: Block
    burst: FloatArray
    clock_s: FloatArray


def record(kind: str, plans: Sequence[FaultPlan] = ()) -> Recorded:
    """Return what a machine of a kind shows with these faults."""
    device = f"{KINDS[kind].word}-001"
    settings = FleetSettings(
        machines=1,
        kind=kind,
        burst_period_s=SETTINGS.burst_period_s,
        burst_rate_hz=SETTINGS.burst_rate_hz,
        burst_length_s=SETTINGS.burst_length_s,
    )
    machine = Machine(device, kind, SEED, settings, LIVE_S, tuple(plans))
    block = machine.take(int(LIVE_S + TOTAL_S))
    clock = DeviceClock(SEED, device, ClockSettings(), live_start_s=LIVE_S, plans=tuple(plans))
    end_s = LIVE_S + ONSET_S + DURATION_S
    within = [b for b in block.bursts if end_s - 700 < b.end_s < end_s] or list(block.bursts)
    loudest = max(within, key=lambda b: (float(np.std(b.samples.astype(np.float64))), b.seq))
    same = next(b for b in block.bursts if b.seq == loudest.seq)
    samples = same.samples.astype(np.float64) * SCALE_M_S2
    return Recorded(block, samples, clock.stamp(block.times_s))


def kind_of(fault: str) -> str:
    """Return the kind of machine on which a fault is shown."""
    if fault in SENSOR_FAULTS:
        return "centrifugal_pump"
    first = next(name for name, kind in KINDS.items() if fault in kind.faults)
    return SHOWN_ON.get(fault, first)


def plan_of(fault: str) -> FaultPlan:
    """Return the fault as it is drawn: clearly visible, from the tenth minute on."""
    device = f"{KINDS[kind_of(fault)].word}-001"
    sensor = "pressure_bar" if fault in SENSOR_FAULTS and fault not in DEVICE_FAULTS else ""
    return FaultPlan(device, fault, ONSET_S, DURATION_S, 0.8, sensor)


def moved(healthy: Mapping[str, FloatArray], faulty: Mapping[str, FloatArray]) -> list[str]:
    """Return the channels in the order of how much the fault moves them, in healthy deviations."""
    sizes = {}
    for name, values in healthy.items():
        gaps = np.isnan(faulty[name])
        change = np.nan_to_num(faulty[name] - values)
        deviation = float(np.std(values)) or 1.0
        sizes[name] = float(np.sqrt(np.mean(change**2)) / deviation + 10.0 * gaps.mean())
    return sorted(sizes, key=lambda name: -sizes[name])


def draw_kind(kind: str, path: Path) -> None:
    """Draw half an hour of all sensors of a healthy machine."""
    recorded = record(kind)
    names = list(recorded.block.values)
    figure, axes = _figure(len(names), 1, 1.15 * len(names) + 0.5)
    minutes = recorded.block.times_s / 60.0
    shown = minutes < 30
    for axis, name in zip(axes, names, strict=True):
        axis.plot(minutes[shown], recorded.block.values[name][shown], color="#3a6ea5", lw=0.8)
        _style(axis, TITLES[name])
    axes[-1].set_xlabel("minutes")
    _finish(figure, path, f"A healthy {KINDS[kind].title}")


def draw_fault(fault: str, path: Path) -> None:
    """Draw what a fault does: two channels over time, one spectrum."""
    kind, plan = kind_of(fault), plan_of(fault)
    healthy, faulty = record(kind), record(kind, [plan])
    rows = 2 if fault in SENSOR_FAULTS and fault not in DEVICE_FAULTS else 3
    figure, axes = _figure(rows, 1, 0.4 + 1.4 * rows)
    minutes = healthy.block.times_s / 60.0
    changed = moved(healthy.block.values, faulty.block.values)[:2]
    for axis, name in zip(axes[:2], changed, strict=True):
        axis.axvspan((LIVE_S + ONSET_S) / 60, (LIVE_S + ONSET_S + DURATION_S) / 60, color=TRUTH)
        axis.plot(minutes, healthy.block.values[name], color=HEALTHY, lw=0.8)
        axis.plot(minutes, faulty.block.values[name], color=FAULTY, lw=0.7)
        _style(axis, TITLES[name])
    axes[1].set_xlabel("minutes (shaded: the label of the fault)")
    if fault == "frozen_timestamp":
        axes[2].plot(minutes, (faulty.clock_s - faulty.block.times_s) / 60, color=FAULTY, lw=1)
        axes[2].set_xlabel("minutes")
        _style(axes[2], "clock's error, min")
    elif rows == 3:
        _draw_spectrum(axes[2], fault, healthy, faulty)
    name = fault.replace("_", " ")
    _finish(figure, path, f"{name[0].upper()}{name[1:]} of {_a(KINDS[kind].title)}, severity 0.8")


def _a(words: str) -> str:
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def _draw_spectrum(axis: Any, fault: str, healthy: Recorded, faulty: Recorded) -> None:
    rate_hz = SETTINGS.burst_rate_hz
    by_envelope = fault in BY_ENVELOPE
    for recorded, colour in ((healthy, HEALTHY), (faulty, FAULTY)):
        if by_envelope:
            f, a = envelope_spectrum(recorded.burst, rate_hz, *ENVELOPE_BAND_HZ)
        else:
            f, a = spectrum(recorded.burst, rate_hz)
        low_hz, high_hz = RANGES_HZ.get(fault, (2.0, 600.0))
        shown = (f > low_hz) & (f < high_hz)
        axis.plot(f[shown], a[shown], color=colour, lw=0.7)
    axis.set_xlabel("Hz (grey: healthy)")
    _style(axis, "envelope, m/s²" if by_envelope else "acceleration, m/s²")
    axis.set_ylim(bottom=0)


def _figure(rows: int, columns: int, height: float) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 8, "font.family": "sans-serif"})
    return pyplot.subplots(rows, columns, figsize=(7.2, height), constrained_layout=True)


def _style(axis: Any, title: str) -> None:
    axis.set_ylabel(title, color=SOFT, fontsize=7)
    axis.tick_params(colors=SOFT, labelsize=7, length=2)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color("#d9e0e7")
    axis.margins(x=0)


def _finish(figure: Any, path: Path, title: str) -> None:
    from matplotlib import pyplot

    figure.suptitle(title, x=0.01, ha="left", fontsize=9, color=INK, fontweight="bold")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None}, pil_kwargs={"optimize": True})
    pyplot.close(figure)


def main(arguments: Sequence[str]) -> int:
    """Draw all pictures, or those named after the folder; return the exit code."""
    folder = Path(arguments[0]) if arguments else FOLDER
    wanted = set(arguments[1:])
    unknown = wanted - set(KINDS) - set(FAULTS)
    if unknown:
        print(f"no kind of machine and no fault: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    for kind in KINDS:
        if not wanted or kind in wanted:
            draw_kind(kind, folder / f"kind-{kind.replace('_', '-')}.png")
    for fault in FAULTS:
        if not wanted or fault in wanted:
            draw_fault(fault, folder / f"fault-{fault.replace('_', '-')}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
