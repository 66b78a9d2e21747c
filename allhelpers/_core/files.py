"""Files are written whole or not at all, and read in one way."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def atomic(path: str | Path) -> Iterator[Any]:
    """Give a temporary path beside ``path``; move it into place only if the block ends without an error.

    A reader finds either the old content or the new, never a part.

    Parameters
    ----------
    path : str or Path
        The final file. Its folder is made if need be.

    Yields
    ------
    Path
        The temporary file to write, with the same suffix.

    Examples
    --------
    >>> with atomic("note.txt") as partial:
    ...     _ = partial.write_text("whole")
    >>> Path("note.txt").read_text()
    'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # On shared storage another machine may have a process of the same number.
    partial = path.with_name(f".{path.stem}.{platform.node()}-{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def replace(partial: Any, path: Path) -> None:
    """Move a file into place once its content is on the disk, so that not even a power cut leaves half of it."""
    with open(partial, "rb+") as stream:
        os.fsync(stream.fileno())
    os.replace(partial, path)


def remove_partial(folder: str | Path) -> None:
    """Remove what a process that was killed has left of files it was writing."""
    for path in Path(folder).rglob(".*.partial*"):
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` as indented JSON, atomically."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a pandas table to ``path`` without its index, atomically."""
    with atomic(path) as partial:
        table.to_csv(partial, index=False)


def sha256(path: Path) -> Any:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
