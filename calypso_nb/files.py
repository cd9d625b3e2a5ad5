"""Write a file whole or not at all."""

import os
import shutil
from pathlib import Path


def write_whole(text: str, path: str | os.PathLike[str], encoding: str = "utf-8") -> Path:
    """Write a text to a file, with the folders that it needs, and return the path.

    A file appears whole or not at all, keeps its mode, and is found through a link. A device or a pipe is
    written to as it stands. Raise OSError if it can't be written.
    """
    asked = Path(path)
    if asked.exists() and not asked.is_file() and not asked.is_dir():
        with asked.open("w", encoding=encoding, errors="replace", newline="") as device:
            device.write(text)
        return asked
    if asked.is_dir():
        raise IsADirectoryError(f"{asked} is a folder: name a file in it")
    target = Path(os.path.realpath(asked))
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding, errors="replace", newline="")
        if target.exists():
            shutil.copymode(target, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return asked
