"""The user's own cells: a manifest from the folders that the pictures lie in, or from a short table.

Folders: one per class, and in them, where patients are known, one per patient. A short table: a CSV file with the
columns ``file`` and ``label`` and, where it is known, ``patient`` (or ``subject``). What is missing for a whole
manifest is filled in here: the SHA-256 of each picture, and each picture as a patient of its own where patients are
unknown, which every output then says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from tqdm.auto import tqdm

from .._core.errors import InputError, listing
from .._core.files import write_csv
from .images import UnusableError

if TYPE_CHECKING:
    from .sources import Source

FOLDERS = "folders"  # settings.manifest, for labels from folders

PATIENTS_UNKNOWN = (
    "patients unknown: each picture counts as a patient of its own, so that a patient can stand on several sides of "
    "the split and intervals are too narrow"
)

SIDES = {"train", "training", "valid", "val", "validation", "test", "testing"}

COPIES = (
    16  # pictures that are read at a time, so that hashing waits for the disk and not for each file
)


def from_folders(source: Source) -> pd.DataFrame:
    """Read class and patient from the folders of the pictures.

    Folders above those of the classes, which hold no other pictures, are passed over.

    Parameters
    ----------
    source : sources.Folder or sources.ZipArchive

    Returns
    -------
    DataFrame
        Columns file, label and, where every class folder holds folders, subject.

    Raises
    ------
    InputError
        If the folders do not tell one class per picture.

    Examples
    --------
    ``cells.zip`` with ``cells/blast/p1/1.png``, ``cells/blast/p2/7.png`` and ``cells/normal/p3/1.png`` gives the
    classes blast and normal, and three patients.

    >>> from allhelpers import sources
    >>> for file in ("blast/p1/1.png", "blast/p2/7.png", "normal/p3/1.png"):
    ...     write_text(f"cells/{file}", "a picture")
    >>> from_folders(Folder(".")).iloc[0].to_dict()
    {'file': 'cells/blast/p1/1.png', 'label': 'blast', 'subject': 'p1'}
    """
    names = [source.name(member) for member in source.members]
    folders = [name.split("/")[:-1] for name in names]
    above = len(_common(folders))
    inner = [parts[above:] for parts in folders]
    where = f"the folders in {source.path}"
    if stray := [name for name, parts in zip(names, inner, strict=True) if not parts]:
        raise InputError(
            f"The classes cannot be read from {where}: {listing(stray, 3)} lies in no class folder or in the only one; "
            "make one folder per class, at least two, side by side."
        )
    labels = [parts[0] for parts in inner]
    if sides := {label for label in labels if label.lower() in SIDES}:
        raise InputError(
            f"{where.capitalize()} are called {listing(sorted(sides))}, which are sides of a split and not classes: "
            "put one folder per class there (the project draws the split), or give a CSV of file, label and patient."
        )
    if deeper := [name for name, parts in zip(names, inner, strict=True) if len(parts) > 2]:
        raise InputError(
            f"{deeper[0]} lies deeper than class/patient/picture in {source.path}: move such pictures up, or give a "
            "CSV of file, label and patient."
        )
    table = pd.DataFrame({"file": names, "label": labels})
    patients = [parts[1] if len(parts) == 2 else "" for parts in inner]
    if any(patients):
        if not all(patients):
            raise InputError(
                f"{names[patients.index('')]} lies in no patient's folder, but others in {source.path} do: give each "
                "picture one, or none."
            )
        table["subject"] = patients
    return table


def _common(paths: Iterable[str] | Path) -> Any:
    """Leading parts that all paths share."""
    shared = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return shared


def is_short(table: pd.DataFrame) -> bool:
    """Whether a table holds file and label but not all columns of a manifest."""
    return {"file", "label"} <= set(table) and "sha256" not in table


def complete(table: pd.DataFrame, members: pd.Series, source: Source, cache: Path) -> pd.DataFrame:
    """Make a whole manifest of a short table.

    Parameters
    ----------
    table : DataFrame
        Columns file, label and perhaps patient or subject, fold, part.
    members : Series
        The source's member for each row, ``None`` where there is none.
    source : sources.Folder or sources.ZipArchive
    cache : Path
        Where the SHA-256 of pictures is kept.

    Returns
    -------
    DataFrame
        With the columns ``manifest.COLUMNS``, not yet checked. A picture that is missing or cannot be read has a
        note instead of its SHA-256; the loader stops at it.

    Examples
    --------
    >>> from allhelpers import loading, sources
    >>> write_text("1.png", "a picture")
    >>> source, short = Folder("."), pd.DataFrame({"file": ["1.png", "2.png"], "label": ["blast", "normal"]})
    >>> whole = complete(short, matching.match(short, source), source, "cache")
    >>> whole["subject"].tolist(), whole["sha256"].str[:13].tolist()
    (['1.png', '2.png'], ['92b2fa5802895', 'missing 2.png'])
    """
    table = table.rename(columns={"patient": "subject"}) if "subject" not in table else table
    unknown = {"part": "training", "fold": "", "subject": table["file"]}
    table = table.assign(**{name: value for name, value in unknown.items() if name not in table})
    there = members.notna()
    digests = table["file"].radd("missing ").where(~there)
    digests[there] = sha256_of(members[there].tolist(), source, cache)
    return table.assign(sha256=digests)


def patients_unknown(table: pd.DataFrame) -> Any:
    """Whether each picture of a manifest stands for a patient of its own."""
    return bool((table["subject"] == table["file"]).all())


def sha256_of(members: list, source: Source, cache: Path) -> list[str]:
    """SHA-256 of pictures, computed once for each file as it lies there."""
    place = hashlib.sha256(str(Path(source.path).absolute()).encode()).hexdigest()[:32]
    path = Path(cache) / "sha256" / f"{place}.csv"
    stamps = [f"{source.name(member)} {source.stamp(member)}" for member in members]
    known = {}
    if path.is_file():
        kept = pd.read_csv(path, dtype=str, keep_default_na=False)
        known = dict(zip(kept["stamp"], kept["sha256"], strict=True))
    new = [
        (stamp, member) for stamp, member in zip(stamps, members, strict=True) if stamp not in known
    ]
    with ThreadPoolExecutor(COPIES) as pool:
        found = pool.map(lambda pair: _sha256(pair[1], source), new)
        bar = tqdm(found, total=len(new), desc="hashing pictures", unit="picture", disable=not new)
        digests = dict(zip([stamp for stamp, _ in new], bar, strict=True))
    if new:
        known |= {stamp: digest for stamp, digest in digests.items() if digest}
        write_csv(path, pd.DataFrame({"stamp": known.keys(), "sha256": known.values()}))
    return [known.get(stamp) or f"unreadable {stamp}" for stamp in stamps]


def _sha256(member: Any, source: Source) -> Any:
    try:
        return hashlib.sha256(source.read(member)).hexdigest()
    except UnusableError:
        return None  # the gate of the loader says why
