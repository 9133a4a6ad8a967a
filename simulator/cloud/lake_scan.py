"""Which files of the buckets a table consists of: its partitions, registered or projected.

Reads the plain files of the twin's buckets (`s3_store`). As in Athena, names that begin with an
underscore or a dot are not data. With partition projection the folders that exist are asked
whether the projection has them, which finds what Athena finds by asking for every value.
Source: Athena User Guide, "Use partition projection with Amazon Athena".
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from simulator.cloud.errors import AwsError, NotSupportedByTwin
from simulator.cloud.glue_store import Table
from simulator.cloud.job_files import split_uri

_JAVA_DATE = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_RELATIVE = re.compile(r"NOW(\s*[+-]\s*\d+\s*\w+)?")
_KEY = re.compile(r"\$\{([^}]+)\}")

Values = tuple[str, ...]


@dataclass(frozen=True)
class DataFile:
    """One object of a table."""

    path: Path
    uri: str
    size_bytes: int


@dataclass(frozen=True)
class Part:
    """One partition of a table (the only one of a table without keys) and where it lies."""

    values: Values
    location: str


class Scan:
    """Finds partitions and files below ``<state>/s3``."""

    def __init__(self, state: Path) -> None:
        self._root = state / "s3"

    def parts(self, table: Table) -> list[Part]:
        """Return the partitions of a table, in the order of their values."""
        if not table.keys:
            return [Part((), table.location)]
        if table.parameters.get("projection.enabled", "").lower() == "true":
            return sorted(self._projected(table), key=lambda part: part.values)
        registered = (
            Part(
                values,
                str(one.input.get("StorageDescriptor", {}).get("Location"))
                if one.input.get("StorageDescriptor", {}).get("Location")
                else _hive_location(table, values),
            )
            for values, one in table.partitions.items()
        )
        return sorted(registered, key=lambda part: part.values)

    def files(self, part: Part) -> Iterator[DataFile]:
        """Yield the data of a partition by name; nothing where there is no such folder."""
        bucket, prefix = split_uri(part.location)
        folder = self._root / bucket / prefix
        for path in sorted(self._walk(folder)):
            key = path.relative_to(self._root / bucket).as_posix()
            size_bytes = path.stat().st_size
            if size_bytes:
                yield DataFile(path, f"s3://{bucket}/{key}", size_bytes)

    def _walk(self, folder: Path) -> Iterator[Path]:
        for where, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name[0] not in "_."]
            for name in names:
                if name[0] not in "_.":
                    yield Path(where, name)

    # -- projection

    def _projected(self, table: Table) -> Iterator[Part]:
        names = [name for name, _ in table.keys]
        rules = [_rule(table, name) for name in names]
        bucket, prefix = split_uri(table.location)
        default = "/".join(f"{name}=${{{name}}}" for name in names)
        template = table.parameters.get("storage.location.template")
        if template:
            bucket, prefix = split_uri(template.partition("${")[0].rpartition("/")[0])
            default = template[len(f"s3://{bucket}/{prefix}") :].strip("/")
        pattern = [_segment(part) for part in default.strip("/").split("/")]
        base = self._root / bucket / prefix
        for folder, found in _matching(base, pattern, {}):
            values = tuple(found.get(name, "") for name in names)
            if all(rule(value) for rule, value in zip(rules, values, strict=True)):
                key = folder.relative_to(self._root / bucket).as_posix()
                yield Part(values, f"s3://{bucket}/{key}/")


def _hive_location(table: Table, values: Values) -> str:
    folders = (f"{name}={value}" for (name, _), value in zip(table.keys, values, strict=True))
    return f"{table.location.rstrip('/')}/{'/'.join(folders)}/"


def _segment(text: str) -> re.Pattern[str]:
    """Return what a folder's name must be, with a group for each key."""
    pieces, last = [], 0
    for key in _KEY.finditer(text):
        pieces += [re.escape(text[last : key.start()]), f"(?P<{key[1]}>[^/]+)"]
        last = key.end()
    return re.compile("".join(pieces) + re.escape(text[last:]))


def _matching(
    folder: Path, pattern: Sequence[re.Pattern[str]], found: Mapping[str, str]
) -> Iterator[tuple[Path, Mapping[str, str]]]:
    if not pattern:
        yield folder, found
        return
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.is_dir() and (matched := pattern[0].fullmatch(path.name)):
            yield from _matching(path, pattern[1:], {**found, **matched.groupdict()})


def _rule(table: Table, name: str) -> Callable[[str], bool]:
    """Return whether a value belongs to the projection of a key."""

    def setting(what: str, default: str | None = None) -> str:
        value = table.parameters.get(f"projection.{name}.{what}", default)
        if value is None:
            raise AwsError(
                "InvalidRequestException",
                f"INVALID_TABLE_PROPERTY: projection.{name}.{what} of {table.name} is missing",
            )
        return value

    kind = setting("type")
    if kind == "enum":
        allowed = {value.strip() for value in setting("values").split(",")}
        return lambda value: value in allowed
    if kind == "integer":
        low, high = (int(bound) for bound in setting("range").split(","))
        interval, digits = int(setting("interval", "1")), int(setting("digits", "0"))

        def is_whole(value: str) -> bool:
            if not re.fullmatch(r"-?\d+", value) or value != str(int(value)).zfill(digits):
                return False
            return low <= int(value) <= high and (int(value) - low) % interval == 0

        return is_whole
    if kind == "date":
        return _dates(setting("format"), setting("range"))
    if kind == "injected":
        return lambda value: True
    raise NotSupportedByTwin(f"the projection type {kind!r} of {table.name}.{name}")


def _dates(java: str, bounds: str) -> Callable[[str], bool]:
    """Return the rule of a date projection; NOW is open, because data has the run's clock."""
    form = re.sub("|".join(_JAVA_DATE), lambda found: _JAVA_DATE[found[0]], java)
    if re.search("[A-Za-z]", re.sub("%[YmdHMS]", "", form.replace("'T'", ""))):
        raise NotSupportedByTwin(f"the projection's date format {java!r}")
    form = form.replace("'", "")
    ends: list[datetime | None] = []
    for bound in bounds.split(","):
        relative = _RELATIVE.fullmatch(bound.strip())
        ends.append(
            None if relative else datetime.strptime(bound.strip(), form).replace(tzinfo=UTC)
        )

    def is_date(value: str) -> bool:
        try:
            at = datetime.strptime(value, form).replace(tzinfo=UTC)
        except ValueError:
            return False
        return (ends[0] is None or at >= ends[0]) and (ends[1] is None or at <= ends[1])

    return is_date
