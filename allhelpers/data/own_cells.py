"""The user's own cells: a manifest from the folders that the images lie in, or from a short table.

What these lack is filled in: the SHA-256 of each image, and each image as a patient of its own
where patients are unknown, which every output then says.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path, PurePath

import pandas as pd

from .._core.errors import InputError, listing
from . import hashing, layout, sources, spelling, walking
from . import manifest as manifests
from .manifest import OFFICIAL_CLASSES, OFFICIAL_NAME
from .sources import Source

FOLDERS = "folders"  # settings.manifest, for labels from folders
PATIENTS_UNKNOWN = "patients unknown"  # how the note begins, whatever version has written it
UNKNOWN_NOTE = (
    f"{PATIENTS_UNKNOWN}: each image counts as a patient of its own, so that a patient can stand "
    "in several splits and intervals are too narrow"
)
MOST_ASTRAY = 0.25  # share of official files in a folder of the other class that is a slip

log = logging.getLogger(__name__)


def from_folders(source: Source, said: str = "") -> pd.DataFrame:
    """Read file, label and perhaps patient, fold and split from folders, and say what was read.

    ``said``: the user's layout. Files with official names have class and patient from these.
    """
    _check_linked(source)
    names = [source.name(member) for member in sources.cells_of(source, said=True)]
    official = [OFFICIAL_NAME.fullmatch(manifests.base_name(name)) for name in names]
    try:
        reading = layout.read(names, said, source.given)
    except InputError as error:
        if said or not all(official):
            missed = [f"{line}." for line in walking.left_out(source.passed_over)]
            raise InputError(" ".join([str(error), *missed])) from None
        # Folders need not tell anything where all names do.
        labels = [match["label"].lower() for match in official if match]
        reading = layout.Reading(pd.DataFrame({"file": names, "label": labels}), {})
    _check_empty(reading, source)
    table, found = _officially(reading.table, official, source.given, said), reading.found
    if "patient" in table and not table["patient"].all():
        without = table["file"][table["patient"] == ""]
        raise InputError(
            f"{listing(without, 3)} lies in no patient's folder, but others in {source.given} have "
            "a patient: give each image one, or none."
        )
    if any(official):
        read = {layout.CLASS: table["label"], layout.PATIENT: table["patient"]}
        found = found | {role: ("names of files", [*those]) for role, those in read.items()}
    log.info("read from the folders of %s:\n%s", source.given, layout.in_words(found))
    return table


def _officially(
    table: pd.DataFrame, official: Sequence[re.Match[str] | None], path: Path, said: str
) -> pd.DataFrame:
    """Class and patient as official names have them, if folders do not say otherwise."""
    if not any(official):
        return table
    label = pd.Series([match and match["label"].lower() for match in official], dtype=object)
    named, folder = label.notna(), table["label"]
    usual = label[named].groupby(folder[named]).agg(lambda labels: labels.mode()[0])
    above = table["file"].map(lambda name: {part.lower() for part in name.split("/")[:-1]})
    against = pd.Series(
        [bool(own & set(OFFICIAL_CLASSES) - {is_}) for own, is_ in zip(above, label, strict=True)]
    )
    slips = named & (folder.map(usual) != label)
    are_classes = bool(said) or not named.all() or slips.sum() <= MOST_ASTRAY * len(table)
    wrong = named & (against | (slips & (are_classes and usual.nunique() > 1)))
    if wrong.any():
        raise InputError(
            f"{listing(table['file'][wrong], 3)} in {path} lies in the folder of another class "
            "than its official name says: move or rename it."
        )
    label = label.where(named, folder.map(usual)).where(lambda one: one.notna(), folder)
    patient = pd.Series([match["patient"] if match else "" for match in official])
    return table.assign(label=label, patient=patient.where(named, table.get("patient", "")))


def _check_linked(source: Source) -> None:
    """Refuse a file that links bring in twice."""
    first: dict[str, PurePath] = {}
    for member in source.members:
        twin = first.setdefault(source.real(member), member)
        if twin != member:
            raise InputError(
                f"{source.name(member)} and {source.name(twin)} in {source.given} are one file, "
                "by a link: give the folder of the one or of the other, or a CSV of the images."
            )


def _check_empty(reading: layout.Reading, source: Source) -> None:
    """Refuse a class whose images cannot be read."""
    level = reading.class_level
    if level is None:
        return
    parts = [name.split("/") for name in reading.table["file"]]
    above, there = {tuple(each[:level]) for each in parts}, {each[level] for each in parts}
    for name, rule in source.passed_over.items():
        *folders, _ = name.split("/")
        lost = len(folders) > level and tuple(folders[:level]) in above
        if lost and rule in (walking.EMPTY, *walking.MISSED) and folders[level] not in there:
            raise InputError(
                f"The folder {'/'.join(folders[: level + 1])} in {source.given} holds no image "
                f"that can be read ({walking.kinds([name])}: {rule}): convert its images, or "
                "take the folder away."
            )


def complete(
    table: pd.DataFrame, members: pd.Series, source: Source, cache: str | Path
) -> pd.DataFrame:
    """Make a whole manifest; a note in place of a SHA-256 stops the loader at that image."""
    table = table.rename(columns={"split": "given_split"})
    table = spelling.tidied(table, ("label", "patient", "given_split"))
    official = table["file"].map(manifests.base_name).str.extract(OFFICIAL_NAME)["patient"]
    patient = official if official.notna().all() else table["file"]
    unknown: dict[str, str | pd.Series] = {"part": "training", "fold": "", "patient": patient}
    table = table.assign(**{name: value for name, value in unknown.items() if name not in table})
    there = members.notna()
    digests = hashing.digests(source, members[there].tolist(), cache)
    known = pd.Series(digests, index=table.index[there], dtype=object).reindex(table.index)
    return table.assign(sha256=known.fillna("missing " + table["file"]))
