"""How failure modes are put right: what a crew sees, what it does, which part that takes.

Every machine fault of the catalogue has an entry. Prices are in an arbitrary currency and in a
plausible order to each other. `crew_notes` writes with it, `work_orders` books with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Work(NamedTuple):
    """One way of putting a failure mode right, and the part or consumable that it takes."""

    text: str
    action: str
    part: str
    cost: float = 0.0


class Repair(NamedTuple):
    """What may be ``seen`` of a failure mode, and what may be ``done``: an overhaul's way first."""

    seen: tuple[str, ...]
    done: tuple[Work, ...]


BEARING_PART = "BRG"
"""Stands for the bearing of the machine; see `BEARINGS_OF`."""

BEARINGS_OF: Mapping[str, tuple[str, float]] = {
    "centrifugal_pump": ("BRG-6205-C3", 48.0),
    "electric_motor": ("BRG-6205-C3", 48.0),
    "compressor": ("BRG-ER10K", 62.0),
    "gearbox_fan": ("BRG-6205-C3", 48.0),
    "spindle": ("BRG-7014C-DB", 540.0),
}
"""Kind of machine -> number and price of its bearing; the types are those of `kinds`."""

_NEW_BEARING = (
    Work("replaced bearing drive end", "replace", BEARING_PART),
    Work("changed bearing, regreased", "replace", BEARING_PART),
    Work("new bearing fitted hot, old one kept for check", "replace", BEARING_PART),
)

REPAIRS: Mapping[str, Repair] = {
    "bearing_outer_race": Repair(
        (
            "rumbling noise at bearing drive end",
            "spalling on outer race, load zone",
            "high envelope acceleration drive end",
            "race pitted at 6 o'clock",
        ),
        _NEW_BEARING,
    ),
    "bearing_inner_race": Repair(
        (
            "bearing rough by hand, inner race pitted",
            "vibration up, side bands at 1x",
            "noisy drive end, growls under load",
            "inner race flaked, shaft ok",
        ),
        _NEW_BEARING,
    ),
    "bearing_ball": Repair(
        (
            "ball surface flaked",
            "clicking at bearing, comes and goes",
            "metal in grease, 2 balls marked",
        ),
        _NEW_BEARING,
    ),
    "bearing_cage": Repair(
        (
            "cage worn, rattles",
            "brass dust in bearing housing",
            "rattle at low speed, cage pocket broken",
        ),
        _NEW_BEARING,
    ),
    "imbalance": Repair(
        ("1x high, rest quiet", "deposits on rotor", "shakes at full speed", "balance weight lost"),
        (
            Work("balanced rotor, 2 runs, G2.5 reached", "adjust", "BAL-KIT", 25.0),
            Work("cleaned and balanced in place", "clean", "CLN-KIT", 8.0),
            Work("removed build-up from rotor", "clean", "CLN-KIT", 8.0),
        ),
    ),
    "misalignment": Repair(
        (
            "2x up, coupling warm",
            "rubber dust under coupling",
            "soft foot found",
            "coupling element cracked",
        ),
        (
            Work("new coupling element, laser aligned", "replace", "CPL-INSERT", 60.0),
            Work("shimmed and aligned, 0.04 mm left", "adjust", "SHIM-SET", 9.0),
            Work("alignment corrected with laser", "adjust", "SHIM-SET", 9.0),
        ),
    ),
    "looseness": Repair(
        (
            "foundation bolt loose",
            "many harmonics, bolt cracked",
            "base plate moves when running",
        ),
        (
            Work("replaced 2 bolts, regrouted", "replace", "BOLT-M16", 12.0),
            Work("bolts retorqued", "adjust", "WSH-M16", 3.0),
            Work("tightened, thread locked", "adjust", "THR-LOCK", 6.0),
        ),
    ),
    "cavitation": Repair(
        (
            "sounds like gravel",
            "impeller pitted at vanes",
            "suction pressure low, flow hunting",
        ),
        (
            Work("impeller replaced", "replace", "IMP-120", 640.0),
            Work("suction valve was throttled, opened; impeller dressed", "adjust", "GSK-SUC", 7.0),
            Work("suction strainer cleaned, impeller left in", "clean", "GSK-SUC", 7.0),
        ),
    ),
    "overheating": Repair(
        (
            "fan cover blocked",
            "cooling fins full of dust",
            "ran hot, fan blade gone",
            "temperature high at normal load",
        ),
        (
            Work("new cooling fan", "replace", "FAN-AX", 85.0),
            Work("cleaned fins and cover", "clean", "CLN-KIT", 8.0),
            Work("freed air path", "clean", "CLN-KIT", 8.0),
        ),
    ),
    "thermal_runaway": Repair(
        (
            "tripped on temperature twice",
            "winding smells",
            "insulation low, 0.8 MOhm",
        ),
        (
            Work("rewound", "replace", "WDG-SET", 900.0),
            Work("dried and varnished", "repair", "VARN-2", 38.0),
            Work("thermal protection replaced, cooling put right", "replace", "PTC-3", 32.0),
        ),
    ),
    "lubrication_loss": Repair(
        ("grease dry and dark", "oil below minimum", "squeals on start", "line blocked"),
        (
            Work("new grease, 20 g", "lubricate", "GRS-LGHP2", 18.0),
            Work("regreased, line unblocked", "lubricate", "GRS-LGHP2", 18.0),
            Work("topped up oil and changed filter", "lubricate", "OIL-VG68", 27.0),
        ),
    ),
    "seal_leak": Repair(
        ("drip at mechanical seal", "puddle under machine", "seal faces scored", "pressure falls"),
        (
            Work("mechanical seal replaced", "replace", "SEAL-32", 210.0),
            Work("new seal and sleeve", "replace", "SEAL-32S", 265.0),
            Work("o-rings changed, faces lapped", "repair", "ORING-KIT", 22.0),
        ),
    ),
    "filter_clogging": Repair(
        ("dp high over filter", "filter black", "flow down, filter full"),
        (
            Work("filter changed", "replace", "FLT-10U", 35.0),
            Work("element replaced, housing cleaned", "replace", "FLT-10U", 35.0),
            Work("filter washed, new gasket", "clean", "GSK-FLT", 4.0),
        ),
    ),
    "rotor_bar": Repair(
        (
            "2sf side bands in current",
            "hums under load, current swings",
            "cracked bar by growler test",
        ),
        (
            Work("rotor exchanged", "replace", "RTR-SPARE", 1_150.0),
            Work("motor swapped for spare", "replace", "MTR-SPARE", 1_900.0),
            Work("bar brazed", "repair", "BRZ-ROD", 15.0),
        ),
    ),
    "gear_tooth": Repair(
        (
            "tooth chipped on pinion",
            "mesh side bands at 1x pinion",
            "chips on magnet plug",
        ),
        (
            Work("gear set exchanged", "replace", "GEAR-SET", 780.0),
            Work("pinion replaced, oil changed", "replace", "PINION-19", 410.0),
            Work("tooth dressed by hand, oil changed", "repair", "OIL-VG220", 44.0),
        ),
    ),
}  # fmt: skip


def work_on(mode: str, kind_of_machine: str, choice: float) -> Work:
    """Return the work on a failure mode; ``choice`` in [0, 1) takes one of the ways."""
    ways = REPAIRS[mode].done
    work = ways[int(choice * len(ways))]
    if work.part != BEARING_PART:
        return work
    part, cost = BEARINGS_OF[kind_of_machine]
    return work._replace(part=part, cost=cost)
