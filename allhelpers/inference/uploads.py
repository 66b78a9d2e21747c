"""Where the page keeps what is uploaded: images of patients, which nobody else is to find."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "allhelpers-page-"

log = logging.getLogger(__name__)


def private_folder() -> Path:
    """A folder for this user alone, deleted at exit; those that a crash has left are deleted."""
    _remove_left()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))  # for its owner alone: mode 0700
    lock = FileLock(folder / ".lock")
    lock.acquire()  # held until this process ends, however it ends
    atexit.register(remove, folder, lock)
    return folder


def remove(folder: Path, lock: FileLock) -> None:
    """Delete a folder of uploads."""
    shutil.rmtree(folder, ignore_errors=True)
    lock.release()


def _remove_left() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        lock = FileLock(folder / ".lock", timeout=0)
        try:
            with lock:
                shutil.rmtree(folder, ignore_errors=True)
            log.info("Images that an earlier page had left are deleted.")
        except (Timeout, OSError):  # its page is still there, or it is somebody else's
            continue
