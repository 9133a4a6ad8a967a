"""How Spark runs on the twin: small, local, on files. Used by `spark` and by the benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from simulator.cloud.spark_s3a import s3a_run_settings


@dataclass(frozen=True, slots=True)
class Mount:
    """One bucket as a job may see it: its folder, and top-level names that are denied.

    ``through_s3a`` are top-level names that are read through S3A and not from the folder.
    """

    folder: Path
    denied: tuple[str, ...] = ()
    through_s3a: tuple[str, ...] = ()


def spark_settings(folder: Path, java_options: str = "") -> dict[str, str]:
    """Return the settings; C1 and the serial collector halve the start-up (measured).

    `folder` takes what Spark leaves on disk, `java_options` go to the JVM beside ours.
    """
    # A host that is killed leaves its temporary files: they belong where the state is.
    java = (
        "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -Duser.timezone=UTC "
        f'"-Djava.io.tmpdir={folder / "tmp"}"'
    )
    return {
        "spark.master": "local[2]",
        "spark.app.name": "fleetwin",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.driver.extraJavaOptions": f"{java} {java_options}".rstrip(),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.adaptive.enabled": "false",
        "spark.python.worker.reuse": "true",
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        # The checksumming file system fails on files that others overwrote and on ':' in keys.
        "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
        "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
        "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
    }


def run_settings(mounts: Mapping[str, Mount], environ: Mapping[str, str]) -> dict[str, str]:
    """Return Hadoop's settings for one run: buckets below ``s3://``, and no other.

    ``environ`` are the variables of the run, with the keys of its role.
    """
    settings: dict[str, str] = {}
    for bucket, mount in mounts.items():
        table = f"fs.viewfs.mounttable.{bucket}"
        settings[f"{table}.linkFallback"] = mount.folder.as_uri()
        for name in mount.denied:
            settings[f"{table}.link./{name}"] = f"denied://{bucket}/{name}"
        for name in mount.through_s3a:
            settings[f"{table}.link./{name}"] = f"s3a://{bucket}/{name}"
    if any(mount.through_s3a for mount in mounts.values()):
        settings |= s3a_run_settings(environ)
    return settings
