"""A saved network's probabilities for new images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from .._core.errors import InputError, legible
from ..data import tables
from . import answering, new_images
from .new_images import Decoded, ImageFile
from .saved import SavedModel

if TYPE_CHECKING:
    from ..networks.building import Network
    from ..settings import DataSettings
    from ..training.familiarity import Familiarity
    from .answering import Answer


def probabilities(network: Network, pixels: np.ndarray) -> np.ndarray:
    """Probabilities of cells, averaged over orientations as in the network's settings.

    Parameters
    ----------
    network : Network
    pixels : ndarray of shape (n, size, size, 3), uint8

    Returns
    -------
    ndarray of shape (n, classes)
        In the order of ``network.classes``; each row adds up to 1.

    Examples
    --------
    >>> rows = probabilities(network, cells.pixels[:3])
    >>> rows.shape, rows.sum(axis=1).round(3).tolist()
    ((3, 2), [1.0, 1.0, 1.0])
    """
    from ..data.orientations import orient
    from ..networks import building

    turned = (orient(pixels, number) for number in range(network.settings.tta))
    return np.mean([building.predict(network.full, each) for each in turned], axis=0)


def predict(
    model: Network | SavedModel,
    files: Sequence[str | Path | ImageFile],
    *,
    image_size: int | None = None,
) -> pd.DataFrame:
    """Classify images, prepared and averaged over orientations as in the model's settings.

    Parameters
    ----------
    model : Network or SavedModel
        From `load` or, without waiting for TensorFlow, from `saved.find`.
    files : sequence of str, Path or ImageFile
    image_size : int, optional
        Height and width that every image must have, in pixels; 0: any. By default as in training.

    Returns
    -------
    DataFrame
        One row per image, in their order. Columns file, ``p_<class>`` of each class, predicted;
        atypical: ``"yes"`` where it is not like the cells that the model was trained on, ``"no"``,
        or empty where that is not known; note: why, or why the image cannot be used, in which case
        the other columns are empty.

    Raises
    ------
    InputError
        If there is no image, or none that can be used.

    Examples
    --------
    >>> from allhelpers import data
    >>> files = data.open_images(training_settings).members[:2]
    >>> list(predict(network, files))
    ['file', 'p_all', 'p_hem', 'predicted', 'atypical', 'note']
    """
    if not len(files):
        raise InputError("There is no image to classify: give at least one.")
    familiar = model.familiar() if isinstance(model, SavedModel) else None
    answer: Answer | None = None
    parts = []
    with tqdm(total=len(files), desc="classifying", unit="image") as bar:
        for part in new_images.decoded(files, model.settings, image_size):
            if answer is None and any(each.usable for each in part):
                answer = answering.answering(model)
            parts.append(_rows(part, model, answer, familiar))
            bar.update(len(part))
    table = pd.concat(parts, ignore_index=True)
    if (table["predicted"] == "").all():
        raise InputError(f"None of {len(table):,} images can be used: {table['note'].iloc[0]}")
    return table


def decoded(
    settings: DataSettings, files: Sequence[str | Path | ImageFile], image_size: int | None = None
) -> np.ndarray:
    """Pixels of images, as the settings prepare them; each must be of use."""
    each = list(chain.from_iterable(new_images.decoded(files, settings, image_size)))
    if problems := [one.reason for one in each if not one.usable]:
        raise InputError(problems[0])
    return np.stack([one.pixels for one in each])


def _rows(
    part: list[Decoded],
    model: Network | SavedModel,
    answer: Answer | None,
    familiar: Familiarity | None,
) -> pd.DataFrame:
    """The table's rows of some images: what was found, or why an image cannot be used."""
    usable = {number: each for number, each in enumerate(part) if each.usable}
    y_prob, reasons = np.zeros((0, len(model.classes))), None
    if usable and answer:
        y_prob, features = answer(np.stack([each.pixels for each in usable.values()]))
        if familiar is not None:
            measured = np.stack([each.measured for each in usable.values()])
            reasons = familiar.reasons(features, measured)
    names = [each.name for each in usable.values()]
    found = table_of(model, names, y_prob, reasons).set_axis([*usable]).reindex(range(len(part)))
    notes = [legible(each.reason) or note for each, note in zip(part, found["note"], strict=True)]
    found = found.assign(file=[legible(each.name) for each in part], note=notes)
    return found.fillna({"predicted": "", "atypical": ""})


def table_of(
    model: Network | SavedModel,
    files: Iterable[str | Path],
    y_prob: np.ndarray,
    reasons: Sequence[str] | None,
) -> pd.DataFrame:
    """Probabilities as a table, and why each image is unlike the training cells, where known."""
    columns = [f"p_{label}" for label in model.classes]
    table = pd.DataFrame(np.asarray(y_prob, float), columns=columns)
    table.insert(0, "file", [legible(str(path)) for path in files])
    table["predicted"] = tables.predicted_labels(table, model.threshold)
    if reasons is None:
        return table.assign(atypical="", note="")
    return table.assign(atypical=["yes" if each else "no" for each in reasons], note=reasons)


def counts(table: pd.DataFrame) -> list[str]:
    """What a table from `predict` comes to, in lines."""
    unusable = int((table["predicted"] == "").sum())
    atypical = int((table["atypical"] == "yes").sum())
    by_class = table["predicted"][table["predicted"] != ""].value_counts()
    lines = [", ".join(f"{label}: {number:,}" for label, number in by_class.items())]
    if atypical:
        lines.append(
            f"{atypical:,} are not like the cells that the model was trained on (atypical: yes; "
            "the column note says why): do not rely on their class."
        )
    elif (table["atypical"] == "").all():
        lines.append(
            "Whether they are like the cells that the model was trained on is not known: it was "
            "trained by an older version."
        )
    if unusable:
        lines.append(f"{unusable:,} could not be used: the column note says why.")
    return lines
