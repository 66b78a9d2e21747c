"""Files are written whole or not at all, and read in one way."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Content = TypeVar("Content")
AGAIN = "run the same command again, which computes it anew"
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how text begins that spreadsheets calculate


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a path to write to; it moves to ``path`` only if the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # On shared storage another machine may have a process of the same number.
    partial = path.with_name(f".{path.stem}.{platform.node()}-{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        replace(partial, path)
    except OSError as error:  # a full disk does not say which
        error.filename = error.filename or str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def replace(partial: Path, path: Path) -> None:
    """Move a file into place once its content is on the disk: not even a power cut leaves half."""
    with open(partial, "rb+") as stream:
        os.fsync(stream.fileno())
    os.replace(partial, path)


def remove_partial(folder: str | Path) -> None:
    """Remove what a process that was killed has left of files it was writing."""
    for path in Path(folder).rglob(".*.partial*"):
        path.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Any) -> None:
    """Write indented JSON atomically."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table without its index, atomically."""
    with atomic(path) as partial:
        table.to_csv(partial, index=False)


def read_whole(path: Path, read: Callable[[Path], Content]) -> Content:
    """Read a file of a run; one that is damaged is one sentence, whatever its reader raises."""
    try:
        return read(path)
    except (OSError, InputError):
        raise
    except Exception as error:
        raise InputError(f"{path} is damaged and cannot be read: {AGAIN}.") from error


def write_for_people(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table that people open in a spreadsheet, where no text of it becomes a formula."""
    write_csv(path, table.map(neutralised).rename(columns=neutralised))


def neutralised(value: Any) -> Any:
    """Text that a spreadsheet would calculate, with an apostrophe before it."""
    calculated = isinstance(value, str) and value.startswith(FORMULA)
    return f"'{value}" if calculated else value


def refuse_existing(path: Path, *, overwrite: bool = False) -> None:
    """Refuse, before any work, a file that cannot be written or would be lost."""
    if path.is_dir():
        raise InputError(f"{path} is a folder: give the name of a file (--output).")
    if (path.exists() or path.is_symlink()) and not overwrite:
        raise InputError(f"{path} exists: choose another --output, or pass --overwrite.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}): choose another --output."
        ) from error


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
