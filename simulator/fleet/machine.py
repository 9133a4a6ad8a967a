"""One machine: operating point and faults in, sensor readings and bursts out.

Samples are made in blocks, and every signal is the same whatever the block length. What a kind
of machine does is in `kinds`; here are its duty, its heat, its protection, its sensors and its
bursts. Nothing here knows messages, networks or SimPy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.fleet.catalogue import DEVICE_FAULTS, SENSOR_FAULTS
from simulator.fleet.faults import Life, MachineEffects, fault_of, severities
from simulator.fleet.kinds import physics_of
from simulator.fleet.operation import Coasting, DutyCycle, Operation
from simulator.fleet.sensors import Sensor
from simulator.fleet.settings import FaultPlan, FleetSettings
from simulator.fleet.streams import FloatArray, RunningSum, Wander, stream
from simulator.fleet.thermal import Room, ThermalMass
from simulator.fleet.vibration import VibrationState, burst


class MachineBurst:
    """One acceleration burst from ``start_s`` to ``end_s``, when it is sent.

    Its samples are made when they are first asked for: they cost most of all. A machine that
    stands still goes on sending bursts, of its accelerometer's noise alone, as a monitor does
    that knows nothing of the machine's state.
    """

    def __init__(
        self, start_s: float, end_s: float, seq: int, rate_hz: int, maker: _BurstMaker
    ) -> None:
        self.start_s = start_s
        self.end_s = end_s
        self.seq = seq
        self.rate_hz = rate_hz
        self._maker = maker

    @property
    def state(self) -> VibrationState:
        """What drives the burst."""
        return self._maker.state

    @cached_property
    def samples(self) -> npt.NDArray[np.int16]:
        """Acceleration in counts of `simulator.fleet.vibration.SCALE_M_S2`."""
        maker = self._maker
        rng = partial(stream, maker.seed, maker.device_id, "burst", str(self.seq))
        return burst(maker.state, self.rate_hz, maker.length_s, rng)


class _BurstMaker(NamedTuple):
    seed: int
    device_id: str
    length_s: float
    state: VibrationState


class Block(NamedTuple):
    """Consecutive readings of one device: times (n,), sensor name -> (n,), and its bursts.

    A value is NaN where its sensor gives none. ``running`` is 1 where the machine is switched on
    and 0 where not; None means on throughout.
    """

    first_seq: int
    times_s: FloatArray
    values: Mapping[str, FloatArray]
    bursts: Sequence[MachineBurst]
    running: FloatArray | None = None


class Machine:
    """One machine; successive blocks continue every signal.

    Times count from the start of the fleet, which lies at ``start_epoch_s``; fault onsets count
    from ``live_start_s``. ``life`` adds wear to the planned faults and stops the machine while it
    is not up. Raises `ScenarioError` for a fault that a machine of this kind cannot have.
    """

    def __init__(
        self,
        device_id: str,
        kind: str,
        seed: int,
        settings: FleetSettings,
        live_start_s: float,
        plans: Sequence[FaultPlan] = (),
        life: Life | None = None,
        start_epoch_s: float = 0.0,
        *,
        with_bursts: bool = True,
    ) -> None:
        """``with_bursts`` False leaves the bursts out, and what only they need."""
        step_s = 1.0 / settings.rate_hz
        self.device_id = device_id
        self.kind = kind
        self.physics = physics_of(kind).draw(seed, device_id, step_s)
        self._seed = seed
        self._settings = settings
        self._live_start_s = live_start_s
        self._step_s = step_s
        self._life = life
        mine = [plan for plan in plans if plan.device == device_id]
        self._plans = [plan for plan in mine if plan.kind not in SENSOR_FAULTS]
        for plan in self._plans:
            fault_of(kind, plan.kind)
        # Devices are not synchronised: each has its own moment within the sampling period.
        phase = stream(seed, device_id, "phase").random(2)
        self._phase_s = round(float(phase[0]) * step_s, 3)
        self._burst_every = max(1, round(settings.burst_period_s * settings.rate_hz))
        lead = math.ceil(settings.burst_length_s * settings.rate_hz)
        self._first_burst = lead + int(float(phase[1]) * self._burst_every)
        self._with_bursts = with_bursts and settings.burst_period_s > 0.0
        self._build(seed, settings, start_epoch_s)
        self._sensors = [
            Sensor(
                model,
                device_id,
                seed,
                step_s=step_s,
                live_start_s=live_start_s,
                plans=[p for p in mine if p.kind in SENSOR_FAULTS and p.kind not in DEVICE_FAULTS],
            )
            for model in self.physics.models
            if not settings.sensors or model.name in settings.sensors
        ]
        self._fitted = {sensor.model.name for sensor in self._sensors}
        self._next = 0

    def _build(self, seed: int, settings: FleetSettings, start_epoch_s: float) -> None:
        """Make what carries the machine's own state from block to block."""
        physics, device_id, step_s = self.physics, self.device_id, self._step_s
        ambient = settings.ambient
        self._duty = DutyCycle(
            seed, device_id, step_s, physics.duty, settings.operation, start_epoch_s
        )
        self._coasting = Coasting(physics.duty.coast_tau_s, step_s)
        self._trip_coasting = Coasting(physics.duty.coast_tau_s, step_s)
        # A fleet that begins at night begins with machines that are cold.
        off = self._duty.off(np.array([self._phase_s]))
        warm = physics.mean_losses(settings.operation, ambient.mean_c)
        warm = 0.0 if off is not None and off[0] else warm
        self._thermal = ThermalMass(physics.thermal_tau_s, step_s, warm)
        self._room = Room(seed, device_id, step_s, ambient, start_epoch_s, physics.place_c)
        rough = stream(seed, device_id, "roughness")
        self._rough = Wander(rough, physics.roughness, 30.0, step_s)
        self._ripple = stream(seed, device_id, "ripple")
        self._swing = RunningSum()

    @property
    def sensors(self) -> tuple[str, ...]:
        """Names of the sensors that are fitted, in the order of the values."""
        return tuple(sensor.model.name for sensor in self._sensors)

    def samples_before(self, time_s: float) -> int:
        """Return how many samples lie before ``time_s``."""
        exact = (time_s - self._phase_s) * self._settings.rate_hz
        return max(0, math.ceil(exact - 1e-9))

    def take(self, count: int) -> Block:
        """Return the next ``count`` samples and the bursts that fall among them."""
        first = self._next
        self._next += count
        t = self._phase_s + np.arange(first, first + count) / self._settings.rate_hz
        if not count:
            return Block(first, t, {name: t.copy() for name in self.sensors}, ())
        effects = MachineEffects(
            self.kind, severities(self.kind, self._plans, self._life, self._live_start_s, t)
        )
        point = self.physics.condition(self._operate(t), effects)
        air_c = self._room.take(t)
        point, square, rise = self._heat(point, effects, air_c)
        due = self._due(first, count)
        powers: dict[str, FloatArray] = {}
        if due or "velocity_mm_s_rms" in self._fitted:
            powers = self.physics.powers(point, effects)
        truth = self._truth(point, effects, square, powers)
        if "temperature_c" in self._fitted:
            rise *= self.physics.rated_rise_c
            air_c += rise
            truth["temperature_c"] = air_c
        values = {s.model.name: s.read(t, truth[s.model.name]) for s in self._sensors}
        bursts = [self._burst(first + i, i, t, point, effects, powers) for i in due]
        return Block(first, t, values, bursts, point.switched)

    def _operate(self, t: FloatArray) -> Operation:
        """Return set-points and speed, as duty and the state of the machine allow."""
        point = self._duty.take(t)
        off = self._duty.off(t)
        if self._life is not None:
            up = self._life.up(t)
            if not up.all():
                off = ~up if off is None else off | ~up
        return self._coasting.slow(point, off)

    def _heat(
        self, point: Operation, effects: MachineEffects, air_c: FloatArray
    ) -> tuple[Operation, FloatArray, FloatArray]:
        """Return the operating point after the protection, the squared current, and the rise.

        A machine whose temperature runs away is switched off at a cap, and on again when cooler.
        """
        physics = self.physics
        square = physics.load_square(point, effects)
        losses = physics.losses(point, effects, square, air_c)
        runaway = effects.get("runaway")
        tripped: npt.NDArray[np.bool_] | None = None
        if runaway is None:
            rise = self._thermal.follow(losses)
        else:
            # Critical at rated load is a = 1/(e R P0): see `thermal.settles`.
            feedback_1_c = runaway / (math.e * physics.rated_rise_c)
            excess_c = air_c - self._settings.ambient.mean_c
            rise, tripped = self._thermal.run_away(
                losses, feedback_1_c, excess_c, physics.rated_rise_c, physics.trip_c
            )
        after = self._trip_coasting.slow(point, tripped)
        if after is not point:
            square = physics.load_square(after, effects)
        return after, square, rise

    def _truth(
        self,
        point: Operation,
        effects: MachineEffects,
        square: FloatArray,
        powers: Mapping[str, FloatArray],
    ) -> dict[str, FloatArray]:
        """Return the true value of each fitted channel but the temperature."""
        physics, fitted = self.physics, self._fitted
        truth: dict[str, FloatArray] = {}
        if "velocity_mm_s_rms" in fitted:
            parts = iter(powers.values())
            velocity = next(parts).copy()
            for part in parts:
                velocity += part
            np.sqrt(velocity, out=velocity)
            rough = self._rough.take(len(velocity))
            rough += 1.0
            velocity *= rough
            truth["velocity_mm_s_rms"] = velocity
        if "pressure_bar" in fitted:
            truth["pressure_bar"] = self._with_ripple(point, effects)
        if "flow_m3_h" in fitted:
            truth["flow_m3_h"] = physics.flow_m3_h(point, effects)
        if "current_a" in fitted:
            current = np.sqrt(square)
            current *= physics.rated_current_a
            truth["current_a"] = self._with_swing(current, point, effects)
        if "speed_rpm" in fitted:
            truth["speed_rpm"] = physics.shaft_share(point, effects) * (60.0 * physics.rated_hz)
        return truth

    def _with_ripple(self, point: Operation, effects: MachineEffects) -> FloatArray:
        """Return the pressure with the ripple of cavitation, drawn for samples that have some."""
        pressure_bar = self.physics.pressure_bar(point, effects)
        ripple = effects.get("ripple_bar")
        if ripple is not None:
            where = np.flatnonzero(ripple)
            drawn = self._ripple.standard_normal(where.size)
            pressure_bar[where] += point.powered(ripple)[where] * drawn
        return pressure_bar

    def _with_swing(
        self, current_a: FloatArray, point: Operation, effects: MachineEffects
    ) -> FloatArray:
        """Return a current that swings at twice the slip frequency: a broken rotor bar.

        Side bands f (1 +- 2 s) of an amplitude are a modulation at 2 s f, and s is in proportion
        to the load: no load, no swing. Readings of the RMS once a second meet it at any phase.
        """
        depth = effects.get("current_swing")
        if depth is None:
            return current_a
        load = np.minimum(self.physics.torque(point), 1.0)
        turn = 4.0 * math.pi * self.physics.slip * 50.0 * self._step_s
        angle = self._swing.follow(np.where(depth > 0.0, turn * load * point.speed, 0.0))
        return np.asarray(current_a * (1.0 + depth * load * np.sin(angle)))

    def _due(self, first: int, count: int) -> range:
        """Return which samples of a block end a burst."""
        if not self._with_bursts:
            return range(0)
        due = self._first_burst - first
        return range(due % self._burst_every if due < 0 else due, count, self._burst_every)

    def _burst(
        self,
        sample: int,
        i: int,
        t: FloatArray,
        point: Operation,
        effects: MachineEffects,
        powers: Mapping[str, FloatArray],
    ) -> MachineBurst:
        settings = self._settings
        state = self.physics.state(i, point, effects, powers)
        end_s = float(t[i])
        return MachineBurst(
            end_s - settings.burst_length_s,
            end_s,
            (sample - self._first_burst) // self._burst_every,
            settings.burst_rate_hz,
            _BurstMaker(self._seed, self.device_id, settings.burst_length_s, state),
        )
