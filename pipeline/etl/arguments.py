"""The Glue job's arguments, parsed as Glue's own ``getResolvedOptions`` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.errors import JobInputError
from pipeline.partitions import HOUR_MS
from pipeline.settings import FeatureSpec

NAMES = (
    "start",
    "end",
    "raw_bucket",
    "processed_bucket",
    "database",
    "table",
    "feature_spec",
)


@dataclass(frozen=True)
class JobArguments:
    """What one run computes: rows with time in ``[start_ms, end_ms)``, both whole hours."""

    start_ms: int
    end_ms: int
    raw_bucket: str
    processed_bucket: str
    database: str
    table: str
    spec: FeatureSpec

    @classmethod
    def parse(cls, argv: Sequence[str]) -> JobArguments:
        """Return the arguments in ``argv`` (with the script's name first).

        Raises JobInputError, and SettingsError for the feature spec.
        """
        options = resolved_options(argv, NAMES)
        start_ms, end_ms = hour_ms(options["start"], "start"), hour_ms(options["end"], "end")
        if start_ms >= end_ms:
            raise JobInputError(f"--start {options['start']} is not before --end {options['end']}")
        return cls(
            start_ms=start_ms,
            end_ms=end_ms,
            raw_bucket=options["raw_bucket"],
            processed_bucket=options["processed_bucket"],
            database=options["database"],
            table=options["table"],
            spec=FeatureSpec.parse(options["feature_spec"]),
        )


def resolved_options(argv: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Return the values of ``--name value`` (or ``--name=value``); all names must be there.

    Other arguments are left alone: Glue adds some of its own (``--JOB_NAME``, ``--TempDir``).
    Where Glue's library exists, it does the work. Raises JobInputError.
    """
    try:
        from awsglue.utils import getResolvedOptions
    except ImportError:
        pass
    else:
        found: dict[str, str] = getResolvedOptions(list(argv), list(names))
        return {name: found[name] for name in names}
    options: dict[str, str] = {}
    words = iter(argv[1:])
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        if word.startswith("--") and name in names:
            options[name] = value if equals else next(words, "")
    for name in names:
        if not options.get(name):
            raise JobInputError(f"argument --{name} is missing")
    return options


def hour_ms(text: str, name: str) -> int:
    """Return an ISO hour, e.g. ``2026-01-05T00``, as epoch ms; without an offset it is UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise JobInputError(f"--{name}: {text!r} is not an ISO time") from None
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    epoch_ms = round(time.timestamp() * 1000)
    if epoch_ms % HOUR_MS:
        # Whole hours are replaced; half an hour would delete the other half.
        raise JobInputError(f"--{name}: {text!r} is not a whole hour")
    return epoch_ms
