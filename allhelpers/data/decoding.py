"""Image files become pixels, in parallel and in one pass; what cannot be used is left out."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._core.caching import filled, patch
from .._core.errors import InputError, counted, listing
from .._core.files import write_csv
from ..runs import Run
from . import images
from .images import UnusableError
from .nuisances import NAMES, measure_nuisances
from .resizing import lit_box

if TYPE_CHECKING:
    from ..settings import DataSettings
    from .sources import Source


def decode_usable(
    table: pd.DataFrame,
    members: pd.Series,
    source: Source,
    settings: DataSettings,
    *,
    measured: dict[str, np.ndarray] | None = None,
) -> tuple[pd.DataFrame, np.ndarray, str, list[str]]:
    """Decode the cells whose images pass the gate: table, pixels, key, and notes on others."""
    key, listed = pixels_key(table["sha256"], settings), Run(settings.run_folder).rejected_path
    images_of_rows = list(zip(members, table["sha256"], strict=True))
    pixels, reasons = _Decoding(images_of_rows, source, settings, measured).run(key)
    if not reasons:
        listed.unlink(missing_ok=True)
        return table, pixels, key, []
    rejected = table.iloc[list(reasons)][["file", "split", "label", "patient"]]
    write_csv(listed, rejected.assign(reason=list(reasons.values())))
    if len(reasons) > settings.max_rejected or len(reasons) == len(table):
        some = len(reasons) < len(table)
        allow = f", or allow so many to be left out (max_rejected = {len(reasons)})" if some else ""
        raise InputError(
            f"{len(reasons):,} of {len(table):,} images cannot be used "
            f"({next(iter(reasons.values()))} All are in {listed}.) Mend them{allow}."
        )
    usable = np.delete(np.arange(len(table)), list(reasons))
    left = table.iloc[usable]
    before, after = (set(zip(t["label"], t["split"], strict=True)) for t in (table, left))
    if lost := sorted(before - after):  # nothing could be learnt or measured there
        which = listing(f"{label} for {side}" for label, side in lost)
        raise InputError(
            f"No image can be used of {which} ({next(iter(reasons.values()))} All are in "
            f"{listed}.) Mend them, or leave the class out (--classes)."
        )
    verb = "cannot be used and is" if len(reasons) == 1 else "cannot be used and are"
    note = f"{counted(len(reasons), 'image')} {verb} left out: see rejected.csv"
    # The usable rows are copied, as if the others had never been listed.
    key, shape = pixels_key(left["sha256"], settings), (len(left), *pixels.shape[1:])

    def copy(start: int, stop: int) -> np.ndarray:
        return pixels[usable[start:stop]]

    copied = filled(pixels_path(key, settings), key, shape, np.uint8, copy, "leaving out")
    return left, copied, key, [note]


@dataclass
class _Decoding:
    """One pass over images; the row of one that cannot be used stays empty: it is seen again."""

    listed: list[tuple[PurePath, str]]
    source: Source
    settings: DataSettings
    measured: dict[str, np.ndarray] | None  # by SHA-256
    seen: set[int] = field(default_factory=set)
    reasons: dict[int, str] = field(default_factory=dict)

    def run(self, key: str) -> tuple[np.ndarray, dict[int, str]]:
        """Pixels of all rows, and the reason for each row that is empty."""
        path, side = pixels_path(key, self.settings), self.settings.size
        shape = (len(self.listed), side, side, 3)
        with ThreadPoolExecutor(os.cpu_count()) as self.pool:
            pixels = filled(path, key, shape, np.uint8, self._decode_chunk, "decoding cells")
            # After a stop, and when the user has mended some.
            suspects = [row for row in _empty_rows(pixels) if row not in self.seen]
            content = self._decode(suspects)
        mended = content.any(axis=(1, 2, 3))
        if mended.any():
            patch(path, np.array(suspects)[mended], content[mended])
        return pixels, dict(sorted(self.reasons.items()))

    def _decode_chunk(self, start: int, stop: int) -> np.ndarray:
        return self._decode(range(start, stop))

    def _decode(self, rows: Sequence[int]) -> np.ndarray:
        pixels = np.zeros((len(rows), self.settings.size, self.settings.size, 3), np.uint8)

        def place(k: int) -> None:
            member, sha256 = self.listed[rows[k]]
            measured = self.measured if sha256 else None
            try:
                content = self.source.read(member)
                pixels[k], found = decode_content(
                    content, member, self.settings, sha256, measure=measured is not None
                )
                if measured is not None:
                    measured[sha256] = found
            except UnusableError as error:
                self.reasons[rows[k]] = str(error)

        list(self.pool.map(place, range(len(rows))))
        self.seen.update(rows)
        return pixels


def _empty_rows(pixels: np.ndarray) -> list[int]:
    """Rows that are black throughout; most cells are told from them by one pixel."""
    centre = pixels.shape[1] // 2
    dark = np.flatnonzero(~pixels[:, centre, centre].any(axis=-1))
    return [int(row) for row in dark if not pixels[row].any()]


def pixels_key(sha256: Iterable[str], settings: DataSettings) -> str:
    """SHA-256 of all that decides the pixels of some cells, as 64 hexadecimal digits."""
    recipe = {
        "size": settings.size,
        "crop": settings.crop,
        "interpolation": "area",
        "picture_size": settings.image_size,  # old name: pixels that are kept are found again
        "cells": list(sha256),
    }
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()


def pixels_path(key: str, settings: DataSettings) -> Path:
    """Where the pixels of a key are kept."""
    return Path(settings.cache_folder) / "pixels" / f"{key[:32]}.npy"


def measure_cells(
    table: pd.DataFrame,
    members: pd.Series,
    source: Source,
    settings: DataSettings,
    *,
    known: dict[str, np.ndarray] | None = None,
) -> pd.DataFrame:
    """Nuisances of whole images; what is ``known``, by SHA-256, is not read again."""
    listed = list(zip(members, table["sha256"], strict=True))
    recipe = ["nuisances, version 2", NAMES, [sha256 for _, sha256 in listed]]
    key = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()
    path = Path(settings.cache_folder) / "nuisances" / f"{key[:32]}.npy"

    def measure(row: int) -> np.ndarray:
        member, sha256 = listed[row]
        if known and sha256 in known:
            return known[sha256]
        content = source.read(member)
        whole = images.decode_whole(content, member, image_size=settings.image_size)
        return measure_nuisances(whole, content=content)

    with ThreadPoolExecutor(os.cpu_count()) as pool:

        def compute(start: int, stop: int) -> np.ndarray:
            return np.stack(list(pool.map(measure, range(start, stop))))

        shape = (len(listed), len(NAMES))
        values = filled(path, key, shape, np.float32, compute, "measuring cells")
    return pd.DataFrame(np.array(values), columns=list(NAMES))


def decode_content(
    content: bytes,
    name: object,
    settings: DataSettings,
    sha256: str = "",
    *,
    measure: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of one image file as a run with these settings sees it, and its nuisances."""
    whole = images.decode_whole(content, name, image_size=settings.image_size, sha256=sha256)
    box = lit_box(whole)
    found = measure_nuisances(whole, content=content, box=box) if measure else np.zeros(0)
    return images.cropped(whole, settings.size, settings.crop, box), found
