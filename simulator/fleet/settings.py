"""What a scenario says about the world outside the cloud, as frozen dataclasses.

`simulator.scenario` builds them from TOML and refuses what cannot be; everything in
`simulator.fleet` reads them. Times are seconds; ``onset_s`` counts from the start of the live
part and may be negative, down to the start of the history.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class GroupSettings:
    """Machines of one kind in a mixed fleet."""

    kind: str
    machines: int = 1


@dataclass(frozen=True)
class AmbientSettings:
    """Temperature around the machines: mean, and half the swing of a day and of a year.

    The day's warmest hour is 15:00 UTC, the year's warmest day 21 July.
    """

    mean_c: float = 24.0
    day_swing_c: float = 0.4
    season_swing_c: float = 0.0


@dataclass(frozen=True)
class FleetSettings:
    """Which machines there are and how they measure. Rates in Hz, times in s.

    ``groups`` replaces ``machines`` and ``kind``. ``sensors``: those fitted, all when empty.
    ``operation``: see `simulator.fleet.operation`. Over MQTT a burst must fit one message.
    """

    machines: int = 20
    kind: str = "centrifugal_pump"
    groups: tuple[GroupSettings, ...] = ()
    sensors: tuple[str, ...] = ()
    operation: str = "cycling"
    rate_hz: float = 1.0
    burst_period_s: float = 120.0
    burst_rate_hz: int = 12_000
    burst_length_s: float = 1.0
    ambient: AmbientSettings = field(default_factory=AmbientSettings)


@dataclass(frozen=True)
class FaultPlan:
    """One fault to inject.

    ``sensor`` names the channel of a sensor fault and is empty for a machine fault.
    """

    device: str
    kind: str
    onset_s: float
    duration_s: float
    severity: float = 0.5
    sensor: str = ""


@dataclass(frozen=True)
class FaultRate:
    """Faults drawn at random: a Poisson process per machine, in the live part only.

    ``per_machine_day``: mean number a day. Severity and duration are uniform between their
    bounds. ``kinds_of_machine``: only these kinds of machine, all that can have it when empty.
    """

    kind: str
    per_machine_day: float
    severity_low: float = 0.3
    severity_high: float = 0.7
    duration_low_s: float = 1_200.0
    duration_high_s: float = 3_600.0
    sensor: str = ""
    kinds_of_machine: tuple[str, ...] = ()


@dataclass(frozen=True)
class DriftPlan:
    """What all devices show differently from ``onset_s`` to the end: firmware, a new supplier.

    ``kind`` is what a sensor fault of that name does to ``sensor``. Nothing is wrong with any
    machine: it is no label, and what is found because of it is a false alarm.
    """

    kind: str
    sensor: str
    onset_s: float
    severity: float = 0.5


@dataclass(frozen=True)
class WearSettings:
    """One failure mode of every machine that can have it, from new to failure.

    The delay-time model (Christer 1984): a defect begins after a Weibull time (``life_s`` is its
    characteristic life eta, ``shape`` its slope b), then its severity grows from 0 to 1, the
    failure, in ``growth_s`` on average, by ``process``: ``exponential`` (C-MAPSS), ``wiener``
    or ``gamma``. ``spread`` is the relative deviation of the time from defect to failure.
    """

    kind: str
    life_s: float
    shape: float = 1.5
    process: str = "gamma"
    growth_s: float = 86_400.0
    spread: float = 0.25
    kinds_of_machine: tuple[str, ...] = ()


@dataclass(frozen=True)
class MaintenanceSettings:
    """How machines are repaired.

    ``policy``: ``run_to_failure``, ``time_based`` (an overhaul every ``interval_s`` of calendar
    time as well) or ``condition_based`` (an order for every alert as well). ``response_s``:
    mean time from order to work, never below ``response_least_s``. ``repair``: ``perfect`` (as
    new), ``minimal`` (as bad as old) or ``imperfect`` (Kijima's virtual age of ``kijima_type``
    1 or 2 with share ``kijima_q`` left). ``wrong_part``: chance that an order treats another
    failure mode, so that the defect stays. Costs in an arbitrary currency.
    """

    policy: str = "run_to_failure"
    interval_s: float = 30 * 86_400.0
    response_s: float = 14_400.0
    response_least_s: float = 600.0
    work_s: float = 7_200.0
    repair: str = "perfect"
    kijima_type: int = 2
    kijima_q: float = 0.3
    wrong_part: float = 0.0
    labour_per_h: float = 80.0
    downtime_per_h: float = 500.0


@dataclass(frozen=True)
class LifeSettings:
    """Wear, repair, and how old machines are at the start.

    ``initial_age``: ``new``, or ``random`` (uniform over half the characteristic life).
    """

    wear: tuple[WearSettings, ...] = ()
    maintenance: MaintenanceSettings = field(default_factory=MaintenanceSettings)
    initial_age: str = "new"


@dataclass(frozen=True)
class OfflinePeriod:
    """A device without a connection."""

    device: str
    onset_s: float
    duration_s: float


@dataclass(frozen=True)
class OutageSettings:
    """Connections that break by themselves, and the back-off with which clients return.

    ``per_machine_day``: mean number of breaks; ``mean_s``: mean time until the network is
    there again. ``storms``: times (from the start of the live part) at which the broker
    disconnects every client at once. A client tries again after full jitter over
    ``backoff_first_s`` doubling up to ``backoff_most_s``.
    """

    per_machine_day: float = 0.0
    mean_s: float = 60.0
    storms: tuple[float, ...] = ()
    backoff_first_s: float = 1.0
    backoff_most_s: float = 128.0


@dataclass(frozen=True)
class ClockSettings:
    """Devices' clocks: deviation of their offset (s) and drift (parts per million).

    ``sync_period_s``: NTP steps the clock back to its offset so often; 0 is never.
    """

    offset_sigma_s: float = 0.0
    drift_ppm_sigma: float = 0.0
    sync_period_s: float = 0.0


@dataclass(frozen=True)
class NetworkSettings:
    """Conditions of every connection.

    ``delay_s`` and ``delay_sigma``: median and log-deviation of a lognormal delay. Loss is
    Gilbert-Elliott's, one step of the chain a packet: ``loss``: share of packets lost,
    ``loss_run``: mean packets that the bad state lasts (1/r), ``loss_in_bad`` and
    ``loss_in_good``: share lost in each state (h_B, h_G). ``duplicate``: share delivered twice
    (a repeated QoS 1 publish). ``straggle``: share delayed by a further exponential time of
    mean ``straggle_s``, which is what reorders. ``backlog_per_s``: pace of a connection that
    catches up; IoT Core discards above 100 publishes a second. ``buffer``: messages a device
    keeps while offline; ``when_full``: ``drop_oldest`` or ``drop_newest``.
    """

    delay_s: float = 0.15
    delay_sigma: float = 0.5
    loss: float = 0.0
    loss_run: float = 2.0
    loss_in_bad: float = 1.0
    loss_in_good: float = 0.0
    duplicate: float = 0.0
    straggle: float = 0.0
    straggle_s: float = 3.0
    backlog_per_s: float = 50.0
    buffer: int = 100_000
    when_full: str = "drop_oldest"
    offline: tuple[OfflinePeriod, ...] = ()
    outages: OutageSettings = field(default_factory=OutageSettings)
    clock: ClockSettings = field(default_factory=ClockSettings)
