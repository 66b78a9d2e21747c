"""Picture files become pixels, in parallel and once; what cannot be used is listed with its reason."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from .._core.caching import filled
from .._core.errors import InputError
from .._core.files import write_csv
from . import images
from .images import UnusableError

if TYPE_CHECKING:
    from ..settings import DataSettings, TrainingSettings
    from .sources import Source


def decode(
    table: pd.DataFrame, members: pd.Series, source: Source, settings: DataSettings
) -> tuple[np.ndarray, str]:
    """Decode cells in parallel into a memory-mapped file, or open the file that is there."""
    key = pixels_key(table["sha256"], settings)
    size = settings.size
    listed, workers = list(zip(members, table["sha256"], strict=True)), os.cpu_count()
    with ThreadPoolExecutor(workers) as pool:

        def compute(start: int, stop: int) -> Any:
            decoded = np.empty((stop - start, size, size, 3), np.uint8)

            def place(rows: np.ndarray) -> None:
                for row in rows:
                    member, sha256 = listed[row]
                    decoded[row - start] = decode_content(
                        source.read(member), member, settings, sha256
                    )

            list(pool.map(place, [range(start + k, stop, workers) for k in range(workers)]))
            return decoded

        shape = (len(table), size, size, 3)
        pixels = filled(pixels_path(key, settings), key, shape, np.uint8, compute, "decoding cells")
    return pixels, key


def pixels_key(sha256: str, settings: TrainingSettings) -> Any:
    """SHA-256 of all that decides the pixels of some cells, as 64 hexadecimal digits."""
    recipe = {"size": settings.size, "crop": settings.crop, "interpolation": "area"}
    recipe |= {"picture_size": settings.picture_size, "cells": list(sha256)}
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()


def pixels_path(key: str, settings: TrainingSettings) -> Any:
    """Where the pixels of a key are kept."""
    return Path(settings.cache_folder) / "pixels" / f"{key[:32]}.npy"


def _decode_row(
    row: pd.Series,
    table: pd.DataFrame,
    members: pd.Series,
    source: Source,
    settings: TrainingSettings,
) -> Any:
    member = members.iloc[row]
    return decode_content(source.read(member), member, settings, table["sha256"].iloc[row])


def decode_content(
    content: bytes, name: str | Path, settings: DataSettings, sha256: str | None = None
) -> np.ndarray:
    """Decode the bytes of one picture file as a run with these settings does."""
    geometry = {"size": settings.size, "crop": settings.crop, "picture_size": settings.picture_size}
    return images.decode(content, name, **geometry, sha256=sha256)


def decode_file(path: Path, settings: DataSettings) -> np.ndarray:
    """Decode one picture file as a run with these settings does.

    Parameters
    ----------
    path : Path
    settings : DataSettings

    Returns
    -------
    ndarray of shape (size, size, 3), uint8

    Examples
    --------
    >>> decode_file(sources.open_images(training_settings).members[0], training_settings).shape
    (64, 64, 3)
    """
    return decode_content(images.read(path), path, settings)


def decode_usable(
    table: pd.DataFrame, members: pd.Series, source: Source, settings: DataSettings
) -> Any:
    """Decode the cells whose pictures pass the gate; list the others."""
    listed = Path(settings.run_folder) / "rejected.csv"
    known = pixels_path(pixels_key(table["sha256"], settings), settings).with_suffix(
        ".rejected.csv"
    )
    if not known.exists():
        try:
            pixels, key = decode(table, members, source, settings)
        except UnusableError:
            write_csv(known, _rejected(table, members, source, settings))
        else:
            listed.unlink(missing_ok=True)
            return table, pixels, key, []
    earlier = pd.read_csv(known, dtype=str, keep_default_na=False)["file"]
    suspects = table[table["file"].isin(earlier)]
    rejected = _rejected(suspects, members[suspects.index], source, settings)
    if len(rejected) < len(earlier):  # some have been mended since
        known.unlink(missing_ok=True)
        return decode_usable(table, members, source, settings)
    write_csv(listed, rejected)
    if len(rejected) > settings.max_rejected:
        raise InputError(
            f"{len(rejected):,} of {len(table):,} pictures cannot be used ({rejected['reason'].iloc[0]} All are in "
            f"{listed}.) Mend them, or allow so many to be left out (max_rejected = {len(rejected)})."
        )
    table = table.drop(suspects.index)
    note = f"{len(rejected):,} pictures cannot be used and are left out: see rejected.csv"
    return table, *decode(table, members[table.index], source, settings), [note]


def _rejected(
    table: pd.DataFrame, members: pd.Series, source: Source, settings: TrainingSettings
) -> Any:
    """Rows whose pictures do not pass the gate, with the reason."""

    def reason(row: pd.Series) -> Any:
        try:
            _decode_row(row, table, members, source, settings)
        except UnusableError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:
        found = tqdm(
            pool.map(reason, range(len(table))),
            total=len(table),
            desc="checking cells",
            unit="cell",
        )
        checked = table[["file", "split", "label", "subject"]].assign(reason=list(found))
    return checked[checked["reason"] != ""]
