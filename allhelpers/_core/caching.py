"""Large arrays on disk: filled chunk by chunk, continued after a stop, checked when they are opened.

Beside ``NAME.npy`` lies ``NAME.json`` with the array's key, shape and the CRC-32 of every chunk. While it is being
filled the array is called ``NAME.partial``; what is done of it is kept by ``NAME.progress.json``, so that a process
that is killed costs the chunk in hand and no more. A file under its own name is whole.
"""

from __future__ import annotations

import math
import os
import shutil
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from tqdm.auto import tqdm

from .errors import InputError
from .files import read_json, write_json

CHUNK = 256  # rows


def filled(
    path: str | Path,
    key: str,
    shape: tuple[int, ...],
    dtype: Any,
    compute: Callable,
    title: str,
    chunk: int = CHUNK,
) -> np.ndarray:
    """Open an array, after computing what is missing of it.

    Several processes may ask for the same array at once: one fills it, the others wait and open it.

    Parameters
    ----------
    path : str or Path
        ``NAME.npy``.
    key : str
        Identifies the content; a file with another key is computed anew.
    shape : tuple of int
        The first axis is divided into chunks.
    dtype : str or numpy.dtype
    compute : callable
        ``compute(start, stop)`` gives the rows from ``start`` to ``stop``, as an array.
    title : str
        For the bar.
    chunk : int
        Rows that are computed, written and recorded at a time.

    Returns
    -------
    ndarray of ``shape``
        Memory-mapped, read-only.

    Raises
    ------
    InputError
        If the disk has no room for the array.

    Examples
    --------
    >>> def squares(start, stop):
    ...     return np.arange(start, stop) ** 2
    >>> filled("squares.npy", "squares", (5,), "int64", squares, title="squares").tolist()
    [0, 1, 4, 9, 16]
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = {"key": key, "shape": list(shape), "dtype": np.dtype(dtype).str, "chunk": chunk}
    with FileLock(f"{path}.lock"):
        if not _is_whole(path, wanted):
            _fill(path, wanted, compute, title)
    return np.load(path, mmap_mode="r")


def _is_whole(path: Path, wanted: str) -> Any:
    """Whether the array is there and what its record says it is; otherwise it is removed, and the user told why."""
    if not path.exists():
        return False
    record = _read(path.with_suffix(".json"))
    problem = (
        "its record is missing or about another content" if not _fits(record, wanted) else None
    )
    if not problem:
        header, row_bytes = _layout(wanted)
        with open(path, "rb") as stream:
            right = _checked_chunks(stream, wanted, record["crc32"], header, row_bytes)
        whole = path.stat().st_size == header + wanted["shape"][0] * row_bytes
        problem = None if whole and right == _chunks(wanted) else "it differs from its checksums"
    if problem:
        print(f"The cache {path} cannot be used ({problem}): it is computed anew.", flush=True)
        path.unlink()
    return not problem


def _fill(path: Path, wanted: str, compute: Callable, title: str) -> None:
    partial, progress = path.with_suffix(".partial"), path.with_suffix(".progress.json")
    header, row_bytes = _layout(wanted)
    rows, chunk = wanted["shape"][0], wanted["chunk"]
    record = _read(progress)
    sums = record["crc32"] if _fits(record, wanted) and partial.exists() else []
    if not sums:
        partial.unlink(missing_ok=True)
    require_space(path.parent, header + rows * row_bytes - (partial.stat().st_size if sums else 0))
    try:
        with open(partial, "r+b" if sums else "w+b") as stream:
            if not sums:
                _write_header(stream, wanted)
            del sums[_checked_chunks(stream, wanted, sums, header, row_bytes) :]
            with tqdm(total=rows, initial=len(sums) * chunk, desc=title, unit="cell") as bar:

                def keep(start: int, content: bytes) -> None:
                    stream.seek(header + start * row_bytes)
                    stream.write(content.data)
                    stream.flush()
                    sums.append(zlib.crc32(content.data))
                    write_json(progress, {**wanted, "crc32": sums})
                    bar.update(len(content))

                # One chunk is written while the next is computed.
                with ThreadPoolExecutor(1) as writer:
                    written = None
                    for start in range(len(sums) * chunk, rows, chunk):
                        content = np.ascontiguousarray(
                            compute(start, min(start + chunk, rows)), dtype=wanted["dtype"]
                        )
                        if written:
                            written.result()
                        written = writer.submit(keep, start, content)
                if written:
                    written.result()
            stream.truncate(header + rows * row_bytes)
    except OSError as error:
        problem = (
            f"{path} cannot be written ({error.strerror}): make room on the disk and run again."
        )
        raise InputError(problem) from error
    except InputError:  # the content cannot be computed: nothing to go on with
        partial.unlink(missing_ok=True)
        progress.unlink(missing_ok=True)
        raise
    write_json(path.with_suffix(".json"), {**wanted, "crc32": sums})
    os.replace(partial, path)
    progress.unlink(missing_ok=True)


def require_space(folder: str | Path, needed: int) -> None:
    """Refuse work whose result will not fit on the disk."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{needed / 1e9:,.1f} GB are needed in {folder} and {free / 1e9:,.1f} GB are free: make room, or choose "
            "another cache_folder."
        )


def _read(path: Path) -> Any:
    """A record, or nothing where there is no readable one."""
    try:
        return read_json(path)
    except (OSError, JSONDecodeError, UnicodeDecodeError):
        return {}


def _fits(record: dict[str, Any], wanted: str) -> Any:
    return (
        isinstance(record, dict)
        and "crc32" in record
        and {**wanted, "crc32": record["crc32"]} == record
    )


def _chunks(wanted: str) -> Any:
    return -(-wanted["shape"][0] // wanted["chunk"])


def _layout(wanted: str) -> Any:
    """Length of the file's header and of a row, in bytes."""
    header = _Counter()
    _write_header(header, wanted)
    return header.written, math.prod(wanted["shape"][1:]) * np.dtype(wanted["dtype"]).itemsize


def _write_header(stream: Any, wanted: str) -> None:
    """The header of NumPy's own format."""
    facts = {"descr": wanted["dtype"], "fortran_order": False, "shape": tuple(wanted["shape"])}
    np.lib.format.write_array_header_1_0(stream, facts)


class _Counter:
    """Counts what is written to it."""

    written = 0

    def write(self, content: bytes) -> None:
        self.written += len(content)


def _checked_chunks(stream: Any, wanted: str, sums: Any, header: Any, row_bytes: Any) -> Any:
    """How many chunks from the first on agree with their checksums."""
    chunk_bytes, end = wanted["chunk"] * row_bytes, header + wanted["shape"][0] * row_bytes
    for number, expected in enumerate(sums):
        begin = header + number * chunk_bytes
        stream.seek(begin)
        content = stream.read(min(chunk_bytes, end - begin))
        if zlib.crc32(content) != expected:
            return number
    return len(sums)
