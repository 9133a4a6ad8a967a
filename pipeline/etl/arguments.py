"""The Glue job's arguments, parsed as Glue's own ``getResolvedOptions`` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.errors import JobInputError
from pipeline.etl.quality_rules import parse_rules
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


OPTIONAL = {
    "extra_features": "{}",
    "quality_rules": "{}",
    "baseline": "",
    "fit_baseline": "false",
}
"""Arguments that may be left out, and what they are then."""

AUTO = "auto"
"""As start and end: whatever changed since the last run with it."""


@dataclass(frozen=True)
class JobArguments:
    """What one run computes: rows with time in ``[start_ms, end_ms)``, both whole hours.

    An ``incremental`` run finds its ranges itself (both are 0). ``spec`` is the model's feature
    spec with the extra features. ``baseline`` is a key in the processed bucket, empty for none.
    """

    start_ms: int
    end_ms: int
    raw_bucket: str
    processed_bucket: str
    database: str
    table: str
    spec: FeatureSpec
    quality_rules: dict[str, float]
    baseline: str
    fit_baseline: bool
    incremental: bool

    @classmethod
    def parse(cls, argv: Sequence[str]) -> JobArguments:
        """Return the arguments in ``argv`` (with the script's name first).

        Raises JobInputError, and SettingsError for the feature spec.
        """
        options = resolved_options(argv, NAMES)
        given = [name for name in OPTIONAL if _is_given(argv, name)]
        options |= {**OPTIONAL, **resolved_options(argv, given)}
        start_ms, end_ms = _range(options["start"], options["end"])
        if options["fit_baseline"] not in ("true", "false"):
            raise JobInputError("--fit_baseline: must be true or false")
        fit_baseline = options["fit_baseline"] == "true"
        if fit_baseline and not options["baseline"]:
            raise JobInputError("--fit_baseline: needs --baseline, the key to write")
        return cls(
            start_ms=start_ms,
            end_ms=end_ms,
            raw_bucket=options["raw_bucket"],
            processed_bucket=options["processed_bucket"],
            database=options["database"],
            table=options["table"],
            spec=FeatureSpec.parse(options["feature_spec"]).extended(options["extra_features"]),
            quality_rules=parse_rules(options["quality_rules"]),
            baseline=options["baseline"],
            fit_baseline=fit_baseline,
            incremental=options["start"] == AUTO,
        )


def _is_given(argv: Sequence[str], name: str) -> bool:
    return any(word == f"--{name}" or word.startswith(f"--{name}=") for word in argv)


def _range(start: str, end: str) -> tuple[int, int]:
    if AUTO in (start, end):
        if start != end:
            raise JobInputError(f"--start and --end: both {AUTO}, or both an hour")
        return 0, 0
    start_ms, end_ms = hour_ms(start, "start"), hour_ms(end, "end")
    if start_ms >= end_ms:
        raise JobInputError(f"--start {start} is not before --end {end}")
    return start_ms, end_ms


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
