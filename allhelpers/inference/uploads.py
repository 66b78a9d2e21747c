"""Where images of patients lie for a while, uploaded or unpacked: nobody else is to find them."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "allhelpers-page-"  # by which those of earlier versions are found too

log = logging.getLogger(__name__)
held = ExitStack()
atexit.register(held.close)


def private_folder() -> Path:
    """A folder for this user alone, deleted at exit; those that a crash has left are deleted."""
    return held.enter_context(private())


@contextmanager
def private() -> Iterator[Path]:
    """Such a folder, deleted when the block ends."""
    _remove_left()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))  # for its owner alone: mode 0700
    lock = FileLock(folder / ".lock")
    lock.acquire()  # held until this process ends, however it ends
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _remove_left() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        lock = FileLock(folder / ".lock", timeout=0)
        try:
            with lock:
                shutil.rmtree(folder, ignore_errors=True)
            log.info("Images that an earlier process had left in %s are deleted.", folder)
        except (Timeout, OSError):  # its process is still there, or it is somebody else's
            continue
