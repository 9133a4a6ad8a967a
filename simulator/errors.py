"""The simulator's error tree; every error names a cause and a cure in one line.

SimulatorError
    ScenarioError          a scenario file that cannot be run
    TemplateError          a template the loader refuses (UnknownResourceType, ...)
    EnvironmentMissing     something this machine lacks (Java, an extra, a free port)
    AssetsError            built archives that are missing, stale or cannot run
    ReplayError            recorded data that cannot be read
    ParityError            two runs, or a cassette, that cannot be compared
    TransferFailed         a DataSync task that a run depends on did not end well
    InvariantBroken        a bug of ours; the run stops
    AwsError               an answer in AWS's own words (simulator.cloud.errors)
"""

from __future__ import annotations


class SimulatorError(Exception):
    """Root of every error that the simulator raises on purpose."""


class ScenarioError(SimulatorError):
    """A scenario that is not valid; the message starts with the path of the key."""


class TemplateError(SimulatorError):
    """A template that the loader refuses; names stack, logical id and property."""


class UnknownResourceType(TemplateError):
    """A resource type for which the twin has no behaviour."""


class EnvironmentMissing(SimulatorError):
    """This machine lacks something that the run needs."""


class AssetsError(SimulatorError):
    """Built assets that are not there, not what the sources say, or do not load."""


class ReplayError(SimulatorError):
    """Recorded data that cannot be replayed."""


class ParityError(SimulatorError):
    """Runs or recordings that cannot be compared."""


class TransferFailed(SimulatorError):
    """A DataSync task that a run depends on did not end well; the message has its reason."""


class InvariantBroken(SimulatorError):
    """Something that must always hold does not: a defect of the twin itself."""
