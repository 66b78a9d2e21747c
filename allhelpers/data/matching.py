"""Which file of a source belongs to which row of a manifest."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import pandas as pd

from .._core.errors import InputError, listing
from . import hashing, own_cells, short_tables
from . import manifest as manifests
from .images import UnusableError
from .manifest import OFFICIAL_NAME, PROJECT_MANIFEST, tidy_path
from .own_cells import FOLDERS

SHA256 = re.compile("[0-9a-fA-F]{64}")

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
        With at least the columns file, part, fold, label, patient and sha256; all text.

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
        where = f"the folder structure of {source.given}"
        table = own_cells.from_folders(source, settings.layout)
    else:
        table = short_tables.read(where)
    if "sha256" not in table:
        table = own_cells.complete(table, match(table, source), source, cache)
    return manifests.check(table, where)


def match(table: pd.DataFrame, source: Source) -> pd.Series:
    """Find each row's image: at its path, as the one whose path ends so, or by its SHA-256."""
    index = _Index(source)
    digests = table["sha256"] if "sha256" in table else [""] * len(table)
    members = [
        index.find(file, digest) for file, digest in zip(table["file"], digests, strict=True)
    ]
    _check_once(table["file"], members, source)
    return pd.Series(members, index=table.index, dtype=object)


def _check_once(files: Iterable[str], members: Iterable[PurePath | None], source: Source) -> None:
    """Refuse two rows about one file."""
    first: dict[PurePath, str] = {}
    for file, member in zip(files, members, strict=True):
        if member is not None and first.setdefault(member, file) != file:
            raise InputError(
                f"{first[member]} and {file} are both the file {source.name(member)} in "
                f"{source.given}: keep one row."
            )


class _Index:
    """The files of a source by their paths, and, once a row asks, by every end of these."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.exact = {source.name(member): member for member in source.members}
        if len(self.exact) < len(source.members):  # a backslash in a name, beside a folder
            one = next(m for m in source.members if self.exact[source.name(m)] != m)
            raise InputError(
                f"Two files in {source.given} are called {source.name(one)}: rename one of them."
            )
        self.above = _key(source.called)
        self.contents: dict[str, dict[str, list[PurePath]]] = {}

    @cached_property
    def whole(self) -> dict[str, list[PurePath]]:
        """Files by their paths in any spelling."""
        found: dict[str, list[PurePath]] = defaultdict(list)
        for name, member in self.exact.items():
            found[_key(name)].append(member)
        return found

    @cached_property
    def ending(self) -> dict[str, list[PurePath]]:
        """Files by every end of their paths."""
        found: dict[str, list[PurePath]] = defaultdict(list)
        for path, members in self.whole.items():
            parts = path.split("/")
            for k in range(len(parts)):
                found["/".join(parts[k:])] += members
        return found

    def find(self, file: str, digest: str) -> PurePath | None:
        """The one file that a row can mean."""
        exact = self.exact.get(file.replace("\\", "/")) or self.exact.get(tidy_path(file))
        if exact:
            return exact
        key = _key(file)
        name = key.rpartition("/")[2]
        fitting = self.whole.get(key) or self._from_above(key) or self.ending.get(key, [])
        if not fitting and OFFICIAL_NAME.fullmatch(name):
            fitting = self.ending.get(name, [])
        if len(fitting) == 1:
            return fitting[0]
        same = self._same(name, digest, fitting) if SHA256.fullmatch(digest) else []
        if len(same) > 1:
            raise InputError(
                f"The image {file} lies twice in {self.source.given} ({listing(same)}): remove "
                "one copy."
            )
        if fitting and not same and not SHA256.fullmatch(digest):
            raise InputError(
                f"{file} can be any of {listing(fitting, 3)} in {self.source.given}: write its "
                "path inside of the images' folder or archive into the column file."
            )
        return same[0] if same else fitting[0] if fitting else None

    def _from_above(self, key: str) -> list[PurePath]:
        """Files of a path that begins above the source's folder, and names it."""
        parts = key.split("/")
        for k, part in enumerate(parts[:-1]):
            if part == self.above and (found := self.whole.get("/".join(parts[k + 1 :]))):
                return found
        return []

    def _same(self, name: str, digest: str, fitting: list[PurePath]) -> list[PurePath]:
        """Files of a name and content, each read once however many rows ask."""
        if name not in self.contents:
            contents = self.contents[name] = defaultdict(list)
            for member in self.ending.get(name, []):
                with suppress(UnusableError):
                    contents[self.source.sha256(member)].append(member)
        found = self.contents[name].get(digest.lower(), [])
        return [member for member in found if member in fitting] or found


def _key(path: str) -> str:
    """A path as it is looked up: in one spelling, the suffix in lower case."""
    stem, suffix = posixpath.splitext(tidy_path(path))
    return stem + suffix.lower()
