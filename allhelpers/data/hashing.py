"""SHA-256 of image files, computed once for each file as it lies there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import pandas as pd
from tqdm.auto import tqdm

from .._core.files import write_csv
from .images import UnusableError

if TYPE_CHECKING:
    from .sources import Source

COPIES = 16  # images that are read at a time: hashing waits for the disk, not for each file


def digests(source: Source, members: Sequence[PurePath], cache: str | Path) -> list[str]:
    """SHA-256 of each member, or a note that it cannot be read."""
    place = hashlib.sha256(str(Path(source.path).absolute()).encode()).hexdigest()[:32]
    path = Path(cache) / "sha256" / f"{place}.csv"
    stamps = [f"{source.name(member)} {source.stamp(member)}" for member in members]
    known = {}
    with suppress(OSError, ValueError, KeyError):  # there is none, or it is damaged
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        known = dict(zip(table["stamp"], table["sha256"], strict=True))
    new = {stamp: m for stamp, m in zip(stamps, members, strict=True) if stamp not in known}
    if new:
        with ThreadPoolExecutor(COPIES) as pool:
            results = pool.map(lambda member: _digest(source, member), new.values())
            bar = tqdm(results, total=len(new), desc="hashing images", unit="image")
            known |= {stamp: digest for stamp, digest in zip(new, bar, strict=True) if digest}
        write_csv(path, pd.DataFrame({"stamp": known.keys(), "sha256": known.values()}))
    return [known.get(stamp) or f"unreadable {stamp}" for stamp in stamps]


def _digest(source: Source, member: PurePath) -> str | None:
    with suppress(UnusableError):  # the gate of the loader says why
        return source.sha256(member)
    return None
