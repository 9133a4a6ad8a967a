"""What a crew writes on a work order: short, in its own words, now and then wrong or incomplete.

A small grammar: occasion, what was seen, what was done, a fact, how it ended. Any of them may be
missing; words are shortened, a finger slips, the field is full. The text says what the crew saw
and believed: after a wrong diagnosis the symptoms are those of the true defect. Plain ASCII, one
line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from simulator.fleet.repairs import REPAIRS, Work

OCCASIONS: Mapping[str, tuple[str, ...]] = {
    "corrective": (
        "machine down",
        "tripped, would not restart",
        "called by production, machine stopped",
        "breakdown",
        "stopped by itself",
        "",
        "",
        "",
    ),
    "preventive": (
        "planned overhaul",
        "PM as per schedule",
        "overhaul by interval",
        "routine maintenance",
    ),
    "condition": (
        "after alert",
        "called by monitoring",
        "condition monitoring alarm",
        "alarm on trend",
        "",
    ),
}
NOTHING = (
    "checked all, nothing found, ran ok",
    "no fault found. vibration normal by hand-held",
    "looked over machine, all ok",
    "NFF, false alarm?",
    "could not see anything wrong, watch it",
)
OVERHAULED = (
    "all wear parts changed",
    "overhauled complete",
    "done per checklist, no remarks",
    "worn parts renewed, all greased",
)
STILL_DOWN = (
    "still not running",
    "trips again, to be continued",
    "same noise as before, next shift to check",
    "does not start, handed over to next shift",
)
RUNNING = (
    "test run ok",
    "back in service",
    "handed over to production",
    "ran 30 min, ok",
    "vibration ok after",
)

LONGEST = 120
"""Characters that the field of the form takes; the rest is lost."""

SHORT: Mapping[str, tuple[str, ...]] = {
    "acceleration": ("acc.",),
    "alignment": ("algnmt",),
    "and": ("&", "+"),
    "bearing": ("brg", "brg.", "bearng"),
    "changed": ("chgd", "chg'd"),
    "checked": ("chkd", "chk'd"),
    "cleaned": ("clnd",),
    "condition monitoring": ("CM",),
    "coupling": ("cplg",),
    "drive end": ("DE",),
    "envelope": ("env.",),
    "found": ("fnd",),
    "impeller": ("imp.",),
    "lubrication": ("lube",),
    "machine": ("m/c", "unit"),
    "maintenance": ("maint.",),
    "mechanical": ("mech.",),
    "motor": ("mtr",),
    "pressure": ("press.",),
    "production": ("prod.",),
    "replaced": ("repl.", "rplcd"),
    "side bands": ("SB",),
    "temperature": ("temp", "temp."),
    "vibration": ("vib", "vibs"),
    "with": ("w/",),
}
"""Words, and how a crew shortens them."""

_LONG = re.compile(r"\b(?:" + "|".join(sorted(SHORT, key=len, reverse=True)) + r")\b")


def note(
    rng: np.random.Generator,
    kind_of_order: str,
    seen_mode: str,
    works: Sequence[Work],
    hours: float,
    *,
    is_running: bool,
) -> str:
    """Return the text of an order.

    ``seen_mode``: the failure mode whose signs there were, "" for none. ``works``: what was done,
    nothing when empty. ``is_running``: the machine started again.
    """
    parts = [_one(rng, OCCASIONS[kind_of_order])]
    if seen_mode and rng.random() < 0.85:
        parts.append(_one(rng, REPAIRS[seen_mode].seen))
    if kind_of_order == "preventive":
        parts.append(_one(rng, OVERHAULED))
    elif not works:
        parts.append(_one(rng, STILL_DOWN if not is_running else NOTHING))
    elif rng.random() < 0.9 or len(parts) == 1:
        parts += [work.text for work in works]
    if rng.random() < 0.3:
        parts.append(_fact(rng, works, hours))
    if works and not is_running:
        parts.append(_one(rng, STILL_DOWN))
    elif works and rng.random() < 0.4:
        parts.append(_one(rng, RUNNING))
    mark = _one(rng, ("; ", ". ", ", ", " - "))
    return _as_typed(rng, mark.join(part for part in parts if part))


def _fact(rng: np.random.Generator, works: Sequence[Work], hours: float) -> str:
    facts = [f"{max(hours, 0.1):.1f} h", _one(rng, ("2 men", "alone", "with electrician"))]
    facts += [f"p/n {work.part}" for work in works[:1]]
    return _one(rng, facts)


def _as_typed(rng: np.random.Generator, text: str) -> str:
    """Return a text as it is typed with gloves on: shortened, in one case, with a slip."""

    def shortened(found: re.Match[str]) -> str:
        word = found.group()
        return _one(rng, SHORT[word]) if rng.random() < habit else word

    # Some write everything out, some nothing.
    habit = float(rng.random())
    text = _LONG.sub(shortened, text)
    style = rng.random()
    if style < 0.12:
        text = text.upper()
    elif style < 0.6:
        text = text[:1].upper() + text[1:]
    for _ in range(int(rng.choice(3, p=(0.7, 0.22, 0.08)))):
        text = _slipped(rng, text)
    return text[:LONGEST].strip()


def _slipped(rng: np.random.Generator, text: str) -> str:
    """Return a text in which a finger slipped: two letters swapped, one left out or doubled.

    Only between letters: figures and part numbers are copied with care.
    """
    places = [found.start() for found in re.finditer(r"(?<=[a-z])[a-z](?=[a-z])", text)]
    if not places:
        return text
    at = places[int(rng.integers(len(places)))]
    slip = int(rng.integers(3))
    if slip == 0:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + text[at] * 2 * (slip - 1) + text[at + 1 :]


def _one(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]
