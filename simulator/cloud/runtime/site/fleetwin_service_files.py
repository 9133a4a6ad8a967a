"""botocore's descriptions of services in Spark's driver, each file read once.

A job's session of boto3 has its role's keys, so each run makes a new one, and a new session reads
a megabyte of JSON and lists four hundred folders before its first client is there. What lies there
does not change. Sessions share what they have read, as clients of one session do. Used by
`spark_host`; imports nothing of the project.
"""

from __future__ import annotations

from typing import Any

from botocore.loaders import JSONFileLoader, Loader


def keep() -> None:
    """Have all sessions share what one has read, for the rest of the process."""
    read, look = JSONFileLoader.load_file, Loader.list_available_services
    files: dict[str, Any] = {}
    names: dict[tuple[str, ...], list[str]] = {}

    def load_file(loader: JSONFileLoader, file_path: str) -> Any:
        found = files.get(file_path)
        if found is None:
            found = read(loader, file_path)
            if found is not None:  # Asked for in each folder of the search path.
                files[file_path] = found
        return found

    def list_available_services(loader: Loader, type_name: str) -> list[str]:
        places = (type_name, *loader.search_paths)
        if places not in names:
            names[places] = look(loader, type_name)
        return list(names[places])

    setattr(JSONFileLoader, "load_file", load_file)  # noqa: B010
    setattr(Loader, "list_available_services", list_available_services)  # noqa: B010
