"""Large arrays on disk: filled chunk by chunk, continued after a stop, checked when opened.

Neither joblib.Memory nor diskcache goes on inside of an array, and zarr, which would, cannot be
memory-mapped, on which drawing random rows of gigabytes in every epoch rests.
"""

from __future__ import annotations

import io
import logging
import math
import os
import shutil
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock
from tqdm.auto import tqdm

from .errors import InputError
from .files import read_json, write_json

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

CHUNK = 256  # rows

log = logging.getLogger(__name__)


def filled(
    path: str | Path,
    key: str,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    compute: Callable[[int, int], ArrayLike],
    title: str,
    chunk: int = CHUNK,
) -> np.ndarray:
    """Open an array, memory-mapped; ``compute(start, stop)`` gives what rows of it are missing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"key": key, "shape": list(shape), "dtype": np.dtype(dtype).str, "chunk": chunk}
    with FileLock(f"{path}.lock"):
        if path.exists() and (problem := _problem(path, facts)):
            log.warning("The cache %s cannot be used (%s): it is computed anew.", path, problem)
            path.unlink()
        if not path.exists():
            _Filling(path, facts).run(compute, title)
    return np.load(path, mmap_mode="r")


def patch(path: Path, rows: ArrayLike, values: ArrayLike) -> None:
    """Replace rows of a whole array; killed on the way, it no longer fits its checksums."""
    rows = np.asarray(rows)
    with FileLock(f"{path}.lock"):
        facts, array = read_json(path.with_suffix(".json")), np.load(path, mmap_mode="r+")
        array[rows] = values
        array.flush()
        chunk = facts["chunk"]
        for number in set(rows // chunk):
            facts["crc32"][number] = zlib.crc32(array[number * chunk : (number + 1) * chunk])
        write_json(path.with_suffix(".json"), facts)


def require_space(folder: str | Path, needed: int) -> None:
    """Refuse work whose result will not fit on the disk."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{needed / 1e9:,.1f} GB are needed in {folder} and {free / 1e9:,.1f} GB are free: "
            "make room, or choose another cache_folder."
        )


class _Filling:
    """An array on its way to the disk: a process that is killed costs the chunk in hand only."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path, self.facts = path, facts
        self.partial = path.with_suffix(".partial")
        self.progress = path.with_suffix(".progress.json")
        self.sums = _checksums(self.progress, facts) if self.partial.exists() else []
        self.sums = self.sums[: _agreeing(self.partial, facts, self.sums)]

    def run(self, compute: Callable[[int, int], ArrayLike], title: str) -> None:
        """Compute what is missing, and give the file its own name."""
        done = len(self.sums) * self.facts["chunk"] * _row_bytes(self.facts)
        require_space(self.path.parent, _file_bytes(self.facts) - done)
        try:
            if not self.sums:
                self.partial.write_bytes(_header(self.facts))
            with open(self.partial, "r+b") as stream:
                self._write_missing(stream, compute, title)
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be written ({error.strerror}): "
                "make room on the disk and run again."
            ) from error
        except InputError:  # the content cannot be computed: nothing to go on with
            self.partial.unlink(missing_ok=True)
            self.progress.unlink(missing_ok=True)
            raise
        write_json(self.path.with_suffix(".json"), {**self.facts, "crc32": self.sums})
        os.replace(self.partial, self.path)
        self.progress.unlink(missing_ok=True)

    def _write_missing(
        self, stream: io.BufferedRandom, compute: Callable[[int, int], ArrayLike], title: str
    ) -> None:
        """Write each chunk while the next one is computed."""
        rows, chunk, dtype = self.facts["shape"][0], self.facts["chunk"], self.facts["dtype"]
        done = len(self.sums) * chunk
        stream.seek(len(_header(self.facts)) + done * _row_bytes(self.facts))
        bar = tqdm(total=rows, initial=done, desc=title, unit="cell")
        with bar, ThreadPoolExecutor(1) as writer:
            writing: Future[object] = writer.submit(bool)
            for start in range(done, rows, chunk):
                content = np.ascontiguousarray(compute(start, min(start + chunk, rows)), dtype)
                writing.result()
                writing = writer.submit(self._keep, stream, content, bar)
            writing.result()
        stream.truncate(_file_bytes(self.facts))

    def _keep(self, stream: io.BufferedRandom, content: np.ndarray, bar: tqdm) -> None:
        stream.write(content.data)
        stream.flush()
        self.sums.append(zlib.crc32(content.data))
        write_json(self.progress, {**self.facts, "crc32": self.sums})
        bar.update(len(content))


def _problem(path: Path, facts: dict[str, Any]) -> str:
    """Why a file is not the array that its record says it is; empty if it is."""
    sums = _checksums(path.with_suffix(".json"), facts)
    if not sums:
        return "its record is missing or about another content"
    chunks = -(-facts["shape"][0] // facts["chunk"])
    whole = path.stat().st_size == _file_bytes(facts) and len(sums) == chunks
    sound = whole and _agreeing(path, facts, sums) == chunks
    return "" if sound else "it differs from its checksums"


def _checksums(record: Path, facts: dict[str, Any]) -> list[int]:
    """CRC-32 of the chunks, if the record can be read and is about this content."""
    try:
        content = read_json(record)
        sums = content.pop("crc32")
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return []
    return sums if content == facts and isinstance(sums, list) else []


def _agreeing(path: Path, facts: dict[str, Any], sums: list[int]) -> int:
    """How many chunks, from the first one on, agree with their checksums."""
    if not sums:
        return 0
    header, chunk_bytes = _header(facts), facts["chunk"] * _row_bytes(facts)
    with open(path, "rb") as stream:
        if stream.read(len(header)) != header:
            return 0
        for number, expected in enumerate(sums):
            if zlib.crc32(stream.read(chunk_bytes)) != expected:
                return number
    return len(sums)


def _header(facts: dict[str, Any]) -> bytes:
    """The header of NumPy's own format."""
    stream = io.BytesIO()
    layout = {"descr": facts["dtype"], "fortran_order": False, "shape": tuple(facts["shape"])}
    np.lib.format.write_array_header_1_0(stream, layout)
    return stream.getvalue()


def _row_bytes(facts: dict[str, Any]) -> int:
    return math.prod(facts["shape"][1:]) * np.dtype(facts["dtype"]).itemsize


def _file_bytes(facts: dict[str, Any]) -> int:
    return len(_header(facts)) + facts["shape"][0] * _row_bytes(facts)
