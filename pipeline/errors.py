"""The pipeline's error tree; every error names a cause in one line.

PipelineError
    SettingsError          an environment variable or the feature spec is missing or wrong
    InvalidReading         a message that validation refuses (it becomes a dead letter)
    InvalidRequest         a request to the endpoint that it cannot answer
    ModelNotReady          there is no model to score with
    StateConflict          another writer changed the state first; the batch is retried
    StateUnavailable       the state table kept refusing; the batch is retried
    StreamRefused          the stream kept refusing records that are replayed
    DatasetError           stored features that cannot be used (none, wrong columns)
    JobInputError          arguments or input of the ETL job that make no sense
    DataQualityFailed      the input of the ETL job breaks a rule of quality
"""

from __future__ import annotations


class PipelineError(Exception):
    """Root of every error that the pipeline raises on purpose."""


class SettingsError(PipelineError):
    """A setting that is missing or cannot be used; the message starts with its name."""


class InvalidReading(PipelineError):
    """A message that validation refuses; ``reason`` goes with it into the dead-letter prefix."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidRequest(PipelineError):
    """A request that the endpoint cannot answer."""


class ModelNotReady(PipelineError):
    """No model has been loaded or activated yet."""


class StateConflict(PipelineError):
    """The stored state is not the one this batch started from; raising retries the batch."""


class StateUnavailable(PipelineError):
    """The state table throttled the call for longer than is worth waiting."""


class StreamRefused(PipelineError):
    """The stream refused replayed records for longer than is worth waiting."""


class DatasetError(PipelineError):
    """Stored features that cannot be read as the feature spec says."""


class JobInputError(PipelineError):
    """Arguments or input of the ETL job from which nothing can be computed."""


class DataQualityFailed(PipelineError):
    """The input breaks a rule of quality; the run's report has the numbers."""
