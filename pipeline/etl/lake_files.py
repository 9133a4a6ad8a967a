"""Small files and listings of the lake, through the file system that Spark reads it with.

So the job needs no other client for them, and sees what its role may see, on every target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Extent:
    """How much lies below a folder."""

    objects: int
    n_bytes: int


def bytes_of(read: DataFrame) -> int:
    """Return the bytes of the objects that a frame reads, of which nothing was selected yet.

    Spark has listed them: asking S3 once more for each folder takes longer than planning does.
    """
    relation = read._jdf.queryExecution().analyzed()
    return int(relation.stats().sizeInBytes())


class LakeFiles:
    """Reads, writes and lists by ``s3://`` URI."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        jvm: Any = spark._jvm
        # A class is found by asking the JVM for each part of its name: once is enough.
        self._path = jvm.org.apache.hadoop.fs.Path
        self._configuration = spark._jsparkSession.sessionState().newHadoopConf()
        self._systems: dict[str, Any] = {}

    def _open(self, uri: str) -> tuple[Any, Any]:
        path = self._path(uri)
        bucket = uri.split("/", 3)[2]
        if bucket not in self._systems:
            self._systems[bucket] = path.getFileSystem(self._configuration)
        return self._systems[bucket], path

    def exists(self, uri: str) -> bool:
        """Tell whether there is an object or folder."""
        files, path = self._open(uri)
        return bool(files.exists(path))

    def extent(self, uri: str) -> Extent:
        """Return how many objects and bytes lie below a folder that exists."""
        files, path = self._open(uri)
        found = files.getContentSummary(path)
        return Extent(int(found.getFileCount()), int(found.getLength()))

    def folders(self, uri: str) -> list[str]:
        """Return the names of the folders right below one, sorted; none where it is not there."""
        files, path = self._open(uri)
        if not files.exists(path):
            return []
        entries = files.listStatus(path)
        return sorted(entry.getPath().getName() for entry in entries if entry.isDirectory())

    def read_text(self, uri: str) -> str | None:
        """Return an object's text, None where it is not there."""
        if not self.exists(uri):
            return None
        row = self._spark.read.text(uri, wholetext=True).first()
        return cast(str, row[0]) if row is not None else ""

    def write_text(self, uri: str, text: str) -> None:
        """Write an object, replacing one that is there."""
        files, path = self._open(uri)
        stream = files.create(path, True)
        try:
            stream.write(bytearray(text.encode()))
        finally:
            stream.close()
