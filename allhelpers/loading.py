"""From picture files to pixels: each cell is read, checked, resized and kept on disk, once.

Cells are matched to the manifest by path, or by file name (and SHA-256 where a name occurs twice), so that any
official folder layout will do.
"""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from . import caching, own_cells, pictures, runs, sources, splitting
from . import manifest as manifests
from .errors import InputError, listing
from .settings import SYNTHETIC_NOTE


@dataclass(frozen=True)
class Cells:
    """The cells of a run.

    Attributes
    ----------
    table : DataFrame
        Manifest rows that are used, with a column ``split`` of train, valid and test.
    pixels : ndarray of shape (cells, size, size, 3), uint8
        RGB, memory-mapped; row i belongs to row i of ``table``.
    notes : list of str
        What every output must say about these cells.
    key : str
        Identifies the pixels.
    classes : tuple of str
        Of the whole manifest, the positive one first.
    """

    table: pd.DataFrame
    pixels: np.ndarray
    notes: list
    key: str
    classes: tuple

    def rows(self, split):
        """Row numbers of one side of the split.

        Parameters
        ----------
        split : {"train", "valid", "test"}

        Returns
        -------
        ndarray of int
        """
        return np.flatnonzero(self.table["split"] == split)

    @property
    def kind(self):
        """What the cells are, for titles of figures."""
        if SYNTHETIC_NOTE in self.notes:
            return "synthetic sample"
        return "C-NMC cells" if manifests.is_official(self.table) else "own cells"

    def labels(self):
        """One-hot labels in the order of ``classes``.

        Returns
        -------
        ndarray of shape (cells, classes), float32
        """
        return np.stack([self.table["label"] == label for label in self.classes], axis=1).astype(np.float32)


def read_manifest(settings, source):
    """Read the manifest that belongs to the pictures, or make it from their folders or a short table.

    Parameters
    ----------
    settings : DataSettings
    source : sources.Folder or sources.ZipArchive

    Returns
    -------
    DataFrame

    Examples
    --------
    >>> len(read_manifest(training_settings, sources.open_images(training_settings)))
    160
    """
    if settings.synthetic and settings.manifest in ("", own_cells.FOLDERS):
        return manifests.from_folder(source.path)
    where = settings.manifest or manifests.PROJECT_MANIFEST
    if settings.manifest == own_cells.FOLDERS:
        where, table = f"the folder structure of {source.path}", own_cells.from_folders(source)
    else:
        table = manifests.read_table(where)
    if own_cells.is_short(table):
        table = own_cells.complete(table, match(table, source), source, settings.cache_folder)
    return manifests.check(table, where)


def match(table, source):
    """Find each row's picture by its path, else by its file name.

    Parameters
    ----------
    table : DataFrame
        A manifest.
    source : sources.Folder or sources.ZipArchive

    Returns
    -------
    Series
        The source's member for each row, ``None`` where there is none; index of ``table``.

    Raises
    ------
    InputError
        If several pictures could be meant.

    Examples
    --------
    >>> members = match(table, sources.open_images(training_settings))
    >>> int(members.notna().sum())
    160
    """
    by_path = {source.name(member): member for member in source.members}
    by_name = pd.Series(source.members, dtype=object).groupby([m.name for m in source.members]).agg(list)
    found = table["file"].map(manifests.base_name).map(by_name)
    chosen = [
        by_path.get(row.file.replace("\\", "/")) or _choose(row, members, source)
        for row, members in zip(table.itertuples(), found, strict=True)
    ]
    return pd.Series(chosen, index=table.index, dtype=object)


def _choose(row, members, source):
    """The one member of that name, or the one with the right content: the official tests share names like 1.bmp."""
    if not isinstance(members, list):
        return None
    if len(members) == 1:
        return members[0]
    if not hasattr(row, "sha256"):
        raise InputError(
            f"{row.file} can be any of {listing(members, 3)} in {source.path}: write its path inside of the images' "
            "folder or archive into the column file."
        )
    right = [m for m in members if hashlib.sha256(source.read(m)).hexdigest() == row.sha256]
    if len(right) > 1:
        raise InputError(f"The picture {row.file} lies twice in {source.path} ({listing(right)}): remove one copy.")
    return right[0] if right else members[0]


def prepare(settings):
    """Find, check, split and decode the cells of a run; what is done already is only opened.

    Parameters
    ----------
    settings : DataSettings

    Returns
    -------
    Cells

    Raises
    ------
    InputError
        If pictures are missing and no subset is allowed, or if more are rejected than may be.

    Examples
    --------
    >>> prepare(training_settings).pixels.shape
    (160, 64, 64, 3)
    """
    source = sources.open_images(settings)
    table = read_manifest(settings, source)
    members, classes = match(table, source), manifests.classes(table, settings.positive)
    table, notes = choose_cells(table, members.notna(), settings)
    table, pixels, key, more_notes = decode_usable(table, members[table.index], source, settings)
    return Cells(table.reset_index(drop=True), pixels, notes + more_notes, key, classes)


def record(cells, settings):
    """Write the run's manifest.csv and data.json, or make sure that they are about the same cells.

    Parameters
    ----------
    cells : Cells
    settings : DataSettings

    Returns
    -------
    str
        SHA-256 of the run's manifest.

    Raises
    ------
    InputError
        If the run folder holds another choice of cells.

    Examples
    --------
    >>> settings = training_settings.model_copy(update={"run_folder": "runs/first"})
    >>> len(record(cells, settings))
    64
    >>> sorted(path.name for path in Path("runs/first").iterdir())
    ['data.json', 'manifest.csv']
    """
    path = Path(settings.run_folder) / "manifest.csv"
    content = cells.table.to_csv(index=False)
    if path.exists() and path.read_text(encoding="utf-8") != content and not settings.overwrite:
        raise InputError(
            f"{path} holds other cells or another split than these settings give: choose another run_folder, or set "
            "overwrite = True."
        )
    runs.write_text(path, content)
    chosen = {name: getattr(settings, name) for name in ("images", "manifest", "split", "seed")}
    chosen["classes"] = cells.classes
    runs.write_json(path.with_name("data.json"), {**chosen, "cells": len(cells.table), "notes": cells.notes})
    return runs.sha256(path)


def choose_cells(table, there, settings):
    """Keep the rows that the split uses, and draw the split where the manifest does not hold it.

    Parameters
    ----------
    table : DataFrame
        A manifest.
    there : Series of bool
        Whether a row's picture was found.
    settings : DataSettings

    Returns
    -------
    table : DataFrame
        Rows in use, with a column ``split``.
    notes : list of str
        What every output must say.

    Examples
    --------
    >>> there = pd.Series(True, index=table.index)
    >>> chosen, notes = choose_cells(table, there, training_settings)
    >>> chosen.groupby("split").size().to_dict()
    {'test': 70, 'train': 20, 'valid': 70}
    >>> notes
    ['synthetic cells: drawn by a program, no medical meaning']
    """
    notes = [SYNTHETIC_NOTE] if settings.synthetic else []
    notes += [own_cells.PATIENTS_UNKNOWN] if own_cells.patients_unknown(table) else []
    column = f"{settings.split}_split"
    if column in table and settings.seed == splitting.DEFAULT_SEED:
        split = table[column]
    else:
        split = splitting.draw(table, settings.split, settings.seed)
    missing = table[(split != "") & ~there]
    (Path(settings.run_folder) / "missing.csv").unlink(missing_ok=True)  # of an earlier attempt
    if len(missing):
        _report_missing(missing, (split != "").sum(), settings)
        table = table[there]
        split = splitting.draw(table, settings.split, settings.seed)
        notes.append(_subset_note(there, split, settings))
    table = table.assign(split=split)
    return table[table["split"] != ""], notes


_OTHER_PICTURES = (
    ", or give another folder; for cells of your own, give a table of them (--manifest cells.csv), or --manifest "
    "folders where each class has its folder."
)


def _report_missing(missing, needed, settings):
    path = Path(settings.run_folder) / "missing.csv"
    runs.write_csv(path, missing)
    if not settings.allow_subset or len(missing) == needed:
        raise InputError(
            f"{len(missing):,} of the {needed:,} pictures that the split needs are not in {settings.images} "
            f"({listing(missing['file'].map(manifests.base_name), 3)}; all in {path}): complete them"
            + (", or allow a subset (--allow-subset)." if len(missing) < needed else _OTHER_PICTURES)
        )


def _subset_note(there, split, settings):
    counts = split.value_counts()
    sides = " / ".join(f"{counts.get(side, 0):,}" for side in manifests.SPLITS)
    return (
        f"subset: {there.sum():,} of the manifest's {len(there):,} pictures are there, and the rule of the "
        f"{settings.split} split was drawn on them ({sides} cells for training, validation and test)"
    )


def decode(table, members, source, settings):
    """Decode cells in parallel into a memory-mapped file, or open the file that is there.

    Parameters
    ----------
    table : DataFrame
        Rows with ``file`` and ``sha256``.
    members : Series
        The source's member for each row.
    source : sources.Folder or sources.ZipArchive
    settings : DataSettings

    Returns
    -------
    pixels : ndarray of shape (len(table), size, size, 3), uint8
        RGB, memory-mapped, read-only.
    key : str
        SHA-256 of all that decides the pixels.

    Raises
    ------
    UnusableError
        If a picture does not pass the gate.

    Examples
    --------
    >>> source = sources.open_images(training_settings)
    >>> pixels, key = decode(table, match(table, source), source, training_settings)
    >>> pixels.shape
    (160, 64, 64, 3)
    """
    key = pixels_key(table["sha256"], settings)
    size = settings.size
    listed, workers = list(zip(members, table["sha256"], strict=True)), os.cpu_count()
    with ThreadPoolExecutor(workers) as pool:

        def compute(start, stop):
            decoded = np.empty((stop - start, size, size, 3), np.uint8)

            def place(rows):
                for row in rows:
                    member, sha256 = listed[row]
                    decoded[row - start] = decode_content(source.read(member), member, settings, sha256)

            list(pool.map(place, [range(start + k, stop, workers) for k in range(workers)]))
            return decoded

        shape = (len(table), size, size, 3)
        pixels = caching.filled(pixels_path(key, settings), key, shape, np.uint8, compute, "decoding cells")
    return pixels, key


def pixels_key(sha256, settings):
    """SHA-256 of all that decides the pixels of some cells, as 64 hexadecimal digits.

    Examples
    --------
    >>> len(pixels_key(["ab12", "cd34"], training_settings))
    64
    """
    recipe = {"size": settings.size, "crop": settings.crop, "interpolation": "area"}
    recipe |= {"picture_size": settings.picture_size, "cells": list(sha256)}
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()


def pixels_path(key, settings):
    """Where the pixels of a key are kept.

    Examples
    --------
    >>> pixels_path("ab12", training_settings).name
    'ab12.npy'
    """
    return Path(settings.cache_folder) / "pixels" / f"{key[:32]}.npy"


def _decode_row(row, table, members, source, settings):
    member = members.iloc[row]
    return decode_content(source.read(member), member, settings, table["sha256"].iloc[row])


def decode_content(content, name, settings, sha256=None):
    """Decode the bytes of one picture file as a run with these settings does.

    Parameters
    ----------
    content : bytes
    name : str or Path
        For messages.
    settings : DataSettings
    sha256 : str, optional
        What the bytes must hash to.

    Returns
    -------
    ndarray of shape (size, size, 3), uint8

    Raises
    ------
    UnusableError
        If the picture does not pass the gate.

    Examples
    --------
    >>> source = sources.open_images(training_settings)
    >>> decode_content(source.read(source.members[0]), "first.bmp", training_settings).shape
    (64, 64, 3)
    """
    geometry = {"size": settings.size, "crop": settings.crop, "picture_size": settings.picture_size}
    return pictures.decode(content, name, **geometry, sha256=sha256)


def decode_file(path, settings):
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
    return decode_content(pictures.read(path), path, settings)


def decode_usable(table, members, source, settings):
    """Decode the cells whose pictures pass the gate; list the others.

    Parameters
    ----------
    table : DataFrame
        Rows in use, with a column ``split``.
    members : Series
        The source's member for each row; index of ``table``.
    source : sources.Folder or sources.ZipArchive
    settings : DataSettings

    Returns
    -------
    table : DataFrame
        Without the rows of rejected pictures.
    pixels, key
        As from `decode`.
    notes : list of str
        What every output must say about rejected pictures, if there are some.

    Raises
    ------
    InputError
        If more pictures are rejected than ``settings.max_rejected``; all of them are in the run's rejected.csv.

    Examples
    --------
    >>> source = sources.open_images(training_settings)
    >>> usable, pixels, key, notes = decode_usable(table, match(table, source), source, training_settings)
    >>> len(usable), notes
    (160, [])
    """
    listed = Path(settings.run_folder) / "rejected.csv"
    known = pixels_path(pixels_key(table["sha256"], settings), settings).with_suffix(".rejected.csv")
    if not known.exists():
        try:
            pixels, key = decode(table, members, source, settings)
        except pictures.UnusableError:
            runs.write_csv(known, _rejected(table, members, source, settings))
        else:
            listed.unlink(missing_ok=True)
            return table, pixels, key, []
    earlier = pd.read_csv(known, dtype=str, keep_default_na=False)["file"]
    suspects = table[table["file"].isin(earlier)]
    rejected = _rejected(suspects, members[suspects.index], source, settings)
    if len(rejected) < len(earlier):  # some have been mended since
        known.unlink(missing_ok=True)
        return decode_usable(table, members, source, settings)
    runs.write_csv(listed, rejected)
    if len(rejected) > settings.max_rejected:
        raise InputError(
            f"{len(rejected):,} of {len(table):,} pictures cannot be used ({rejected['reason'].iloc[0]} All are in "
            f"{listed}.) Mend them, or allow so many to be left out (max_rejected = {len(rejected)})."
        )
    table = table.drop(suspects.index)
    note = f"{len(rejected):,} pictures cannot be used and are left out: see rejected.csv"
    return table, *decode(table, members[table.index], source, settings), [note]


def _rejected(table, members, source, settings):
    """Rows whose pictures do not pass the gate, with the reason."""

    def reason(row):
        try:
            _decode_row(row, table, members, source, settings)
        except pictures.UnusableError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:
        found = tqdm(pool.map(reason, range(len(table))), total=len(table), desc="checking cells", unit="cell")
        checked = table[["file", "split", "label", "subject"]].assign(reason=list(found))
    return checked[checked["reason"] != ""]
