"""botocore's descriptions of services, each file read once while something asks for it many times.

moto makes a session of boto3 for nearly each list of regions and each model that it needs as it is
imported, and every session reads the endpoints and the models anew. `forward` imports
moto with it. Nothing is shared longer than that: what is read takes much memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.loaders import JSONFileLoader


@contextmanager
def read_once() -> Iterator[None]:
    """Have all sessions of this process share the files that they read meanwhile."""
    read = JSONFileLoader.load_file
    files: dict[str, Any] = {}

    def load_file(loader: JSONFileLoader, file_path: str) -> Any:
        found = files.get(file_path)
        if found is None:
            found = read(loader, file_path)
            if found is not None:  # Asked for in each folder of the search path.
                files[file_path] = found
        return found

    setattr(JSONFileLoader, "load_file", load_file)  # noqa: B010
    try:
        yield
    finally:
        setattr(JSONFileLoader, "load_file", read)  # noqa: B010
