"""From picture files to pixels: each cell is read, checked, resized and kept on disk, once.

Cells come from the synthetic sample, a folder, a zip archive or Kaggle, and are matched to the manifest by file name
(and by SHA-256 where a name occurs twice), so that any official folder layout will do. An archive is read member by
member and never unpacked.
"""

import hashlib
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pandas as pd
from filelock import FileLock
from tqdm.auto import tqdm

from . import manifest as manifests
from . import runs, sample, splitting
from .errors import InputError, listing
from .settings import SYNTHETIC_NOTE

KAGGLE_DATASET = "andrewmvd/leukemia-classification"
INPUT_SIZE = 224  # pixels; the paper's
PICTURE_SIZE = 450  # pixels; the official files'
PICTURE_SUFFIXES = (".bmp", ".png", ".jpg", ".jpeg")
# First bytes of the formats that are decoded; nothing else reaches the decoder.
SIGNATURES = (b"BM", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
MOST_BYTES = 64 * 1024**2  # a cell's picture has 0.6 MB; a larger file is a mistake or an attack
CHUNK = 256


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
    """

    table: pd.DataFrame
    pixels: np.ndarray
    notes: list
    key: str

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
        return "synthetic sample" if SYNTHETIC_NOTE in self.notes else "C-NMC cells"

    def labels(self):
        """One-hot labels in the order of `manifest.CLASSES`.

        Returns
        -------
        ndarray of shape (cells, 2), float32
        """
        return np.stack([self.table["label"] == label for label in manifests.CLASSES], axis=1).astype(np.float32)


def read_picture(path):
    """Bytes of a picture file, unless it is far too large for one cell."""
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path} is larger than {MOST_BYTES >> 20} MiB, too large for a cell: remove it.")
    return path.read_bytes()


def find_pictures(paths):
    """List picture files.

    Parameters
    ----------
    paths : iterable of str or Path
        Files, and folders that are searched for pictures.

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        If a path does not exist, or there is no picture.
    """
    files = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"{path} does not exist: give picture files or a folder that holds some.")
        files += Folder(path).members if path.is_dir() else [path]
    if not files:
        raise InputError(f"There is no picture ({', '.join(PICTURE_SUFFIXES)}) in {listing(paths)}: check the path.")
    return files


class Folder:
    """Picture files under a folder."""

    def __init__(self, path):
        self.path = Path(path)
        if not self.path.is_dir():
            raise InputError(f"The folder of images {path} does not exist: give a folder, a zip archive or 'sample'.")
        self.members = [p for p in sorted(self.path.rglob("*")) if p.suffix.lower() in PICTURE_SUFFIXES]

    def read(self, member):
        """Bytes of one file."""
        return read_picture(member)


class Archive:
    """Picture files in a zip archive, read in place."""

    def __init__(self, path):
        self.path = Path(path)
        try:
            self.archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"The archive {path} cannot be read as zip: copy or download it again.") from error
        names = sorted(self.archive.namelist())
        self.members = [PurePosixPath(n) for n in names if n.lower().endswith(PICTURE_SUFFIXES)]

    def read(self, member):
        """Bytes of one member, whose stated size is checked before it is unpacked."""
        if self.archive.getinfo(str(member)).file_size > MOST_BYTES:
            raise InputError(f"{member} in {self.path} unpacks to more than {MOST_BYTES >> 20} MiB: check the archive.")
        try:
            return self.archive.read(str(member))
        except (zipfile.BadZipFile, zipfile.zlib.error) as error:
            raise InputError(f"{member} in {self.path} is damaged: copy or download the archive again.") from error


def open_images(settings):
    """Open the place where the pictures are.

    Parameters
    ----------
    settings : DataSettings

    Returns
    -------
    Folder or Archive

    Raises
    ------
    InputError
        If there is no picture.
    """
    images = settings.images
    if settings.synthetic:
        name = f"sample-{settings.sample_cells}-{settings.seed}"
        source = Folder(sample.draw(Path(settings.cache_folder) / name, settings.sample_cells, settings.seed))
    elif images == "kaggle" or images.startswith("kaggle:"):
        source = Folder(download_kaggle(images.partition(":")[2] or KAGGLE_DATASET))
    elif images.lower().endswith(".zip"):
        source = Archive(images)
    else:
        source = Folder(images)
    if not source.members:
        raise InputError(f"There is no picture ({', '.join(PICTURE_SUFFIXES)}) in {source.path}: check the path.")
    return source


def download_kaggle(dataset):
    """Download a Kaggle data set into kagglehub's cache, or find it there.

    Parameters
    ----------
    dataset : str
        ``"owner/name"``.

    Returns
    -------
    str
        The folder.
    """
    import kagglehub

    try:
        return kagglehub.dataset_download(dataset)
    except Exception as error:  # kagglehub passes on errors of several libraries
        raise InputError(
            f"The Kaggle data set {dataset} could not be downloaded ({type(error).__name__}): check the network and "
            "the name, or give the path of a folder or zip archive."
        ) from error


def read_manifest(settings, source):
    """Read the manifest that belongs to the pictures.

    Parameters
    ----------
    settings : DataSettings
    source : Folder or Archive

    Returns
    -------
    DataFrame
    """
    if settings.synthetic and not settings.manifest:
        return manifests.from_folder(source.path)
    return manifests.read(settings.manifest or manifests.PROJECT_MANIFEST)


def match(table, source):
    """Find each row's picture by its file name.

    Parameters
    ----------
    table : DataFrame
        A manifest.
    source : Folder or Archive

    Returns
    -------
    Series
        The source's member for each row, ``None`` where there is none; index of ``table``.

    Raises
    ------
    InputError
        If the same picture lies there twice under the same name.
    """
    by_name = pd.Series(source.members, dtype=object).groupby([m.name for m in source.members]).agg(list)
    found = table["file"].map(manifests.base_name).map(by_name)
    return pd.Series(
        [_choose(row, members, source) for row, members in zip(table.itertuples(), found, strict=True)],
        index=table.index,
        dtype=object,
    )


def _choose(row, members, source):
    """The one member of that name, or the one with the right content: the official tests share names like 1.bmp."""
    if not isinstance(members, list):
        return None
    if len(members) == 1:
        return members[0]
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
        If pictures are missing and no subset is allowed, or if one is damaged.
    """
    source = open_images(settings)
    table = read_manifest(settings, source)
    members = match(table, source)
    table, notes = choose_cells(table, members.notna(), settings)
    shape = {"size": settings.input_size, "crop": settings.crop}
    pixels, key = decode(table, members[table.index], source, settings.cache_folder, **shape)
    return Cells(table.reset_index(drop=True), pixels, notes, key)


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
    """
    path = Path(settings.run_folder) / "manifest.csv"
    content = cells.table.to_csv(index=False)
    if path.exists() and path.read_text(encoding="utf-8") != content:
        raise InputError(
            f"{path} holds other cells or another split than these settings give: choose another run_folder."
        )
    runs.write_text(path, content)
    chosen = {name: getattr(settings, name) for name in ("images", "manifest", "split", "seed")}
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
    """
    notes = [SYNTHETIC_NOTE] if settings.synthetic else []
    column = f"{settings.split}_split"
    if column in table and settings.seed == splitting.DEFAULT_SEED:
        split = table[column]
    else:
        split = splitting.draw(table, settings.split, settings.seed)
    missing = table[(split != "") & ~there]
    if len(missing):
        _report_missing(missing, (split != "").sum(), settings)
        table = table[there]
        split = splitting.draw(table, settings.split, settings.seed)
        notes.append(_subset_note(there, split, settings))
    table = table.assign(split=split)
    return table[table["split"] != ""], notes


def _report_missing(missing, needed, settings):
    path = Path(settings.run_folder) / "missing.csv"
    runs.write_csv(path, missing)
    if not settings.allow_subset or len(missing) == needed:
        raise InputError(
            f"{len(missing):,} of the {needed:,} pictures that the split needs are not in {settings.images} "
            f"({listing(missing['file'].map(manifests.base_name), 3)}; all in {path}): complete them"
            + (", or allow a subset (--allow-subset)." if len(missing) < needed else ", or give another folder.")
        )


def _subset_note(there, split, settings):
    counts = split.value_counts()
    sides = " / ".join(f"{counts.get(side, 0):,}" for side in manifests.SPLITS)
    return (
        f"subset: {there.sum():,} of the manifest's {len(there):,} pictures are there, and the rule of the "
        f"{settings.split} split was drawn on them ({sides} cells for training, validation and test)"
    )


def decode(table, members, source, cache_folder, size=INPUT_SIZE, crop=PICTURE_SIZE):
    """Decode cells in parallel into a memory-mapped file, or open the file that is there.

    Parameters
    ----------
    table : DataFrame
        Rows with ``file`` and ``sha256``.
    members : Series
        The source's member for each row.
    source : Folder or Archive
    cache_folder : str or Path
    size : int
        Height and width, in pixels.
    crop : int
        Side of the central square that is kept, in pixels of the picture.

    Returns
    -------
    pixels : ndarray of shape (len(table), size, size, 3), uint8
        RGB, memory-mapped, read-only.
    key : str
        SHA-256 of all that decides the pixels.
    """
    recipe = {"size": size, "crop": crop, "interpolation": "area", "cells": table["sha256"].tolist()}
    key = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()
    path = Path(cache_folder) / "pixels" / f"{key[:32]}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            with runs.atomic(path) as partial:
                _decode_all(table, members, source, size, crop, partial)
    return np.load(path, mmap_mode="r"), key


def _decode_all(table, members, source, size, crop, path):
    pixels = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(table), size, size, 3))
    digests = table["sha256"].tolist()

    def work(row):
        pixels[row] = decode_one(source.read(members.iloc[row]), str(members.iloc[row]), size, crop, digests[row])

    with ThreadPoolExecutor() as pool, tqdm(total=len(table), desc="decoding cells", unit="cell") as bar:
        for start in range(0, len(table), CHUNK):
            rows = range(start, min(start + CHUNK, len(table)))
            for _ in pool.map(work, rows):
                bar.update()
    pixels.flush()


def decode_file(path, settings):
    """Decode one picture file as a run with these settings does.

    Parameters
    ----------
    path : Path
    settings : DataSettings

    Returns
    -------
    ndarray of shape (size, size, 3), uint8
    """
    return decode_one(read_picture(path), path, settings.input_size, settings.crop)


def decode_one(content, name, size=INPUT_SIZE, crop=PICTURE_SIZE, sha256=None):
    """Decode one picture and resize it.

    Resizing is by pixel area (``cv2.INTER_AREA``), which averages where it shrinks and so does not alias.

    Parameters
    ----------
    content : bytes
        A BMP, PNG or JPEG file.
    name : str
        For error messages.
    size : int
        Height and width of the result, in pixels.
    crop : int
        Side of the central square that is kept, in pixels of the picture; a smaller picture is kept whole.
    sha256 : str, optional
        What the file's SHA-256 must be.

    Returns
    -------
    ndarray of shape (size, size, 3), uint8
        RGB, 0..255.

    Raises
    ------
    InputError
        If the content is damaged, of another format, or not the listed file.
    """
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(f"{name} is not the file that the manifest lists (SHA-256 differs): download it again.")
    if not content.startswith(SIGNATURES):
        raise InputError(f"{name} is not a BMP, PNG or JPEG picture: convert or remove it.")
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(f"{name} is damaged and cannot be decoded: download it again or remove it.")
    top, left = (max(0, (side - crop) // 2) for side in picture.shape[:2])
    picture = picture[top : top + crop, left : left + crop]
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)[..., ::-1]
