"""What is asked of a Dask worker, with the standard library alone: it may lack this package.

This file goes there as text, since a worker that can't import a function's module can't take the function.
"""

import importlib.metadata
import importlib.util
import os
import shutil
from pathlib import Path


def look(recipes: str, runs: str, goose: str) -> dict[str, object]:
    """Return what a worker has of what runs need."""
    try:
        importable = importlib.util.find_spec("calypso_nb") is not None
    except ImportError:
        importable = False
    try:
        version = importlib.metadata.version("calypso_nb")
    except importlib.metadata.PackageNotFoundError:
        version = None
    folder, place = Path(recipes), Path(runs)
    packages = ("psutil", "yaml", "papermill")
    return {
        "importable": importable,
        "version": version,
        "lacking": [name for name in packages if importlib.util.find_spec(name) is None],
        "recipes": sorted(path.name for path in folder.iterdir()) if folder.is_dir() else None,
        "writable": os.access(next(one for one in (place, *place.parents) if one.exists()), os.W_OK),
        "goose": shutil.which(goose) is not None,
    }


def piece(path: str, offset: int, size: int) -> bytes | None:
    """Return a piece of a file, None if there is no such file."""
    try:
        with Path(path).open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError:
        return None
