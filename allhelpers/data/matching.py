"""Which file of a source belongs to which row of a manifest."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import pandas as pd

from .._core.errors import InputError, listing
from . import hashing, own_cells, short_tables
from . import manifest as manifests
from .manifest import PROJECT_MANIFEST
from .own_cells import FOLDERS

if TYPE_CHECKING:
    from ..settings import DataSettings
    from .sources import Source


def read_manifest(settings: DataSettings, source: Source) -> pd.DataFrame:
    """Read the manifest that belongs to the images, or make it from their folders or a short table.

    Parameters
    ----------
    settings : DataSettings
    source : Source
        From `open_images`.

    Returns
    -------
    DataFrame
        With at least the columns file, part, fold, label, subject and sha256; all text.

    Raises
    ------
    InputError
        If there is no manifest, or it cannot be used.

    Examples
    --------
    >>> from allhelpers import data
    >>> len(read_manifest(training_settings, data.open_images(training_settings)))
    160
    """
    cache = settings.cache_folder
    if settings.synthetic and settings.manifest in ("", FOLDERS):
        return manifests.from_folder(
            source.path, lambda files: hashing.digests(source, files, cache)
        )
    where: str | Path = settings.manifest or PROJECT_MANIFEST
    if settings.manifest == FOLDERS:
        where, table = f"the folder structure of {source.path}", own_cells.from_folders(source)
    else:
        table = short_tables.read(where)
    if own_cells.is_short(table):
        table = own_cells.complete(table, match(table, source), source, cache)
    return manifests.check(table, where)


def match(table: pd.DataFrame, source: Source) -> pd.Series:
    """Find each row's image by its path, else by its file name; ``None`` where there is none."""
    by_path = {source.name(member): member for member in source.members}
    by_name = defaultdict(list)
    for member in source.members:
        by_name[member.name].append(member)
    digests = table["sha256"] if "sha256" in table else [None] * len(table)
    members = []
    for file, digest in zip(table["file"], digests, strict=True):
        path = file.replace("\\", "/")
        namesakes = by_name.get(manifests.base_name(file), [])
        members.append(by_path.get(path) or _choose(file, digest, namesakes, source))
    return pd.Series(members, index=table.index, dtype=object)


def _choose(
    file: str, digest: str | None, namesakes: list[PurePath], source: Source
) -> PurePath | None:
    """The one file of that name, or that with the right content: official tests share names."""
    if len(namesakes) < 2:
        return namesakes[0] if namesakes else None
    if digest is None:
        raise InputError(
            f"{file} can be any of {listing(namesakes, 3)} in {source.path}: write its path inside "
            "of the images' folder or archive into the column file."
        )
    same = [member for member in namesakes if source.sha256(member) == digest]
    if len(same) > 1:
        raise InputError(
            f"The picture {file} lies twice in {source.path} ({listing(same)}): remove one copy."
        )
    return same[0] if same else namesakes[0]
