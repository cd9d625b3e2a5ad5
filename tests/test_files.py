"""Files that are written: whole, through links, and never in place of a device."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

from calypso_nb.files import write_whole
from tests.conftest import SECONDS


def test_a_file_is_found_through_a_link_and_keeps_its_mode(tmp_path: Path) -> None:
    """A private report stays private, and the link stays a link."""
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("old")
    real.chmod(0o600)
    link.symlink_to(real)
    assert write_whole("new", link) == link
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"real.json", "link.json"}


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    """What is no file is not replaced by one."""
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_whole("a report", pipe)
    reader.join(SECONDS)
    assert read == ["a report"]
    assert pipe.is_fifo()


def test_folders_are_made_and_nothing_else_is_left(tmp_path: Path) -> None:
    """The draft that makes it whole is gone."""
    written = write_whole("ünïcode", tmp_path / "new" / "folder" / "x.txt")
    assert written.read_text("utf-8") == "ünïcode"
    assert [path.name for path in written.parent.iterdir()] == ["x.txt"]
