"""Leaves out of a child's import path what its archive has to bring itself.

Called by `sitecustomize`, before anything of the child's own is imported, where the variable
FLEETWIN_PACKAGES is set. The interpreter finds the packages installed here by itself, and source
trees that a .pth file or an editable installation adds; nothing of the latter is ever deployed.
"""

import os
import sys

INSTALLED, NONE = "installed", "none"
PACKAGE_FOLDERS = ("site-packages", "dist-packages")


def leave_out(packages: str) -> None:
    """Keep the standard library, PYTHONPATH and, for ``installed``, the installed packages."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    library = os.path.dirname(os.__file__)

    def kept(entry: str) -> bool:
        name = os.path.basename(entry)
        if name in PACKAGE_FOLDERS and entry not in given:
            return packages == INSTALLED
        is_library = entry == library or name == "lib-dynload"
        return entry in given or is_library or (name.startswith("python") and name[-4:] == ".zip")

    sys.path[:] = [entry for entry in sys.path if kept(entry)]
    # The finders of editable installations have a module each, which setuptools names so.
    sys.meta_path[:] = [
        finder
        for finder in sys.meta_path
        if not getattr(finder, "__module__", "").startswith("__editable__")
    ]
