"""The same real cells for everybody who is measured."""

from pathlib import Path

from allhelpers.data import decoding, matching, sources
from allhelpers.data import manifest as manifests
from allhelpers.data.loading import Cells
from allhelpers.data.manifest import OFFICIAL_CLASSES, PROJECT_MANIFEST
from allhelpers.settings import DataSettings

PAPERS_CELLS = 6_036  # training cells of the paper
SEED = 1


def chosen(images, count):
    """So many cells of an official folder, all for training, their files, and the folder itself."""
    source = sources.open_images(DataSettings(images=str(images)))
    table = manifests.read(PROJECT_MANIFEST)
    members = matching.match(table, source)
    table = table[members.notna()].assign(split="train")
    table = table.sample(min(count, len(table)), random_state=SEED)
    return table.reset_index(drop=True), members[table.index].reset_index(drop=True), source


def link(images, count, folder):
    """Lay out cells as ``FOLDER/LABEL/FILE``, which Keras's loaders read."""
    table, members, _ = chosen(images, count)
    for label, member in zip(table["label"], members, strict=True):
        path = Path(folder) / label / Path(member).name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(Path(member).resolve())


def decoded(table, members, source, settings):
    """Decode what was chosen, or open what is decoded, for the project's own functions."""
    table, pixels, key, _ = decoding.decode_usable(table, members, source, settings)
    return Cells(table, pixels, [], key, OFFICIAL_CLASSES)
