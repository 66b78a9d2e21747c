"""Which file of a source belongs to which row of a manifest."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pandas as pd

from .._core.errors import InputError, listing
from . import manifest as manifests
from . import own_cells
from .manifest import PROJECT_MANIFEST
from .own_cells import FOLDERS

if TYPE_CHECKING:
    from ..settings import DataSettings
    from .sources import Source


def read_manifest(settings: DataSettings, source: Source) -> pd.DataFrame:
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
    if settings.synthetic and settings.manifest in ("", FOLDERS):
        return manifests.from_folder(source.path)
    where = settings.manifest or PROJECT_MANIFEST
    if settings.manifest == FOLDERS:
        where, table = f"the folder structure of {source.path}", own_cells.from_folders(source)
    else:
        table = manifests.read_table(where)
    if own_cells.is_short(table):
        table = own_cells.complete(table, match(table, source), source, settings.cache_folder)
    return manifests.check(table, where)


def match(table: pd.DataFrame, source: Source) -> pd.Series:
    """Find each row's picture by its path, else by its file name."""
    by_path = {source.name(member): member for member in source.members}
    by_name = (
        pd.Series(source.members, dtype=object).groupby([m.name for m in source.members]).agg(list)
    )
    found = table["file"].map(manifests.base_name).map(by_name)
    chosen = [
        by_path.get(row.file.replace("\\", "/")) or _choose(row, members, source)
        for row, members in zip(table.itertuples(), found, strict=True)
    ]
    return pd.Series(chosen, index=table.index, dtype=object)


def _choose(row: pd.Series, members: pd.Series, source: Source) -> Any:
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
        raise InputError(
            f"The picture {row.file} lies twice in {source.path} ({listing(right)}): remove one copy."
        )
    return right[0] if right else members[0]
