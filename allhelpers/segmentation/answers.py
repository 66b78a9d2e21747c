"""Boxes and masks that the user has already: VOC, COCO, YOLO, label images of QuPath or Cellpose.

Each is read only when its field is, so that memory does not grow with their number; COCO alone is
one file.
"""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import cv2
import numpy as np

from ._seam import InputError, listing, read_yaml

# Words in names of classes that are no white cells; what is named otherwise is taken for one.
NOT_WHITE = re.compile(
    r"rbc|\bred|erythro|platelet|thrombo|\bplt|background|artefact|artifact", re.I
)
# What programs add to a photograph's name: Cellpose, QuPath, CellProfiler and common habits.
ENDINGS = re.compile(r"(_cp_masks|[-_]labell?ed|[-_]labels?|[-_]masks?|[-_]seg)$", re.I)
CORNERS = ("xmin", "ymin", "xmax", "ymax")  # of VOC
IMAGES = (".png", ".tif", ".tiff")
NAMES = ("classes.txt", "obj.names", "labels.txt")  # of YOLO, one class to a line
YAMLS = ("data.yaml", "dataset.yaml")
MOST_BYTES = 512 * 1024**2

Entry = TypeVar("Entry")  # what is kept of a field until it is read: a file, or its objects


@dataclass(frozen=True)
class Answer:
    """One object of a field: a box or a mask."""

    kind: str  # its class; empty: none is named
    box: tuple[float, float, float, float]  # left, top, right, bottom in pixels of the field
    polygons: tuple[np.ndarray, ...] = ()  # its outline, points by 2, where it is known


class Answers(Generic[Entry]):
    """Boxes or masks of many fields, looked up by a photograph's name without its ending."""

    def __init__(
        self,
        read: Callable[[Entry, tuple[int, ...]], list[Answer] | np.ndarray],
        entries: Mapping[str, Entry],
    ) -> None:
        self._read, self._entries = read, entries
        self.kinds: set[str] = set()  # classes that were met so far

    def of(self, field: Path, shape: tuple[int, ...]) -> list[Answer] | np.ndarray | None:
        """Objects of a field, or its label image; ``None``: there is no entry for it."""
        entry = self._entries.get(field.stem, self._entries.get(field.name))
        found = None if entry is None else self._read(entry, shape)
        if isinstance(found, list):
            self.kinds |= {answer.kind for answer in found}
        return found


def read_answers(source: str | Path) -> Answers:
    """Open boxes or masks that exist already.

    Parameters
    ----------
    source : str or Path
        A COCO file (JSON), or a folder with one COCO file, with VOC files (XML), YOLO files (TXT,
        with their classes in ``classes.txt`` or ``data.yaml``) or label images (PNG or TIFF, 0
        outside and one number for each cell). Their names are those of the photographs;
        ``_cp_masks``, ``_masks`` and ``_labels`` may follow.

    Returns
    -------
    Answers

    Raises
    ------
    InputError
        If there is nothing of these kinds, or a file makes no sense.

    Examples
    --------
    >>> _ = Path("field.txt").write_text("0 0.5 0.5 0.2 0.4")
    >>> _ = Path("classes.txt").write_text("WBC")
    >>> read_answers(".").of(Path("field.jpg"), (100, 200))
    [Answer(kind='WBC', box=(80.0, 30.0, 120.0, 70.0), polygons=())]
    """
    source = Path(source)
    if source.is_file():
        return _coco(source)
    if not source.is_dir():
        raise InputError(
            f"{source} does not exist: give a COCO file or a folder of boxes or masks."
        )
    paths = sorted(path for path in source.rglob("*") if not path.name.startswith("."))
    found = {
        kind: {path.stem: path for path in paths if path.suffix.lower() == kind}
        for kind in (".xml", ".txt", ".json", *IMAGES)
    }
    texts = {stem: path for stem, path in found[".txt"].items() if path.name not in NAMES}
    images = {ENDINGS.sub("", stem): path for end in IMAGES for stem, path in found[end].items()}
    if found[".xml"]:
        return Answers(_voc, found[".xml"])
    if texts:
        names = _yolo_names(source)
        return Answers(lambda path, shape: _yolo(path, shape, names), texts)
    if found[".json"]:
        return _coco(next(iter(found[".json"].values())))
    if images:
        return Answers(_label_image, images)
    raise InputError(
        f"{source} holds no boxes or masks: VOC (.xml), YOLO (.txt), COCO (.json) and label "
        "images (.png, .tif) can be read."
    )


def _text(path: Path) -> str:
    """A text file of reasonable size."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} is larger than 512 MiB: divide it.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): check the file.") from error


def _voc(path: Path, _shape: tuple[int, ...]) -> list[Answer]:
    """Objects of a VOC file; its boxes count pixels from 1, both ends inside."""
    text = _text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:  # a few lines can claim gigabytes
        raise InputError(f"{path} defines entities, which boxes do not need: remove them.")
    try:
        found = []
        for thing in ElementTree.fromstring(text).iter("object"):
            corners = [float(thing.findtext(f"bndbox/{name}") or "") for name in CORNERS]
            box = (corners[0] - 1, corners[1] - 1, corners[2], corners[3])
            found.append(Answer((thing.findtext("name") or "").strip(), box))
        return found
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{path} is no VOC file ({error}): save the boxes again.") from error


def _yolo_names(folder: Path) -> list[str]:
    """Names of YOLO's classes; none: their numbers are their names."""
    places = [place / name for place in (folder, folder.parent) for name in (*NAMES, *YAMLS)]
    path = next((path for path in places if path.is_file()), None)
    if path is None:
        return []
    if path.name in NAMES:
        return [line.strip() for line in _text(path).splitlines() if line.strip()]
    content = read_yaml(_text(path))
    names = content.get("names", []) if isinstance(content, dict) else []
    return [str(name) for name in (names.values() if isinstance(names, dict) else names)]


def _yolo(path: Path, shape: tuple[int, ...], names: list[str]) -> list[Answer]:
    """Objects of a YOLO file: class, centre and size, or class and outline, in shares."""
    found = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            index, *values = line.split()
            found.append(_of_yolo(int(index), [float(value) for value in values], shape, names))
        except (ValueError, IndexError) as error:
            raise InputError(f"{path}, line {number}, is no YOLO box ({error}).") from error
    return found


def _of_yolo(index: int, values: list[float], shape: tuple[int, ...], names: list[str]) -> Answer:
    """One line of a YOLO file."""
    height, width = shape[:2]
    kind = names[index] if names else str(index)
    if len(values) in (4, 5):  # the fifth is a confidence
        across, down, wide, high = values[:4]
        corners = (across - wide / 2, down - high / 2, across + wide / 2, down + high / 2)
        left, top, right, bottom = (
            round(v * side, 2) for v, side in zip(corners, (width, height) * 2, strict=True)
        )
        return Answer(kind, (left, top, right, bottom))
    return _outlined(kind, [np.reshape(values, (-1, 2)) * (width, height)])


def _outlined(kind: str, polygons: list[np.ndarray]) -> Answer:
    """An object by its outline."""
    points = np.concatenate(polygons)
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return Answer(kind, (left, top, right, bottom), tuple(polygons))


def _coco(path: Path) -> Answers:
    """Objects of a COCO file, gathered by photograph."""
    try:
        content = json.loads(_text(path))
        kinds = {kind["id"]: str(kind["name"]) for kind in content.get("categories", [])}
        files = {image["id"]: Path(image["file_name"]).stem for image in content["images"]}
        entries: dict[str, list[Answer]] = {stem: [] for stem in files.values()}
        for thing in content["annotations"]:
            answer = _of_coco(thing, kinds.get(thing.get("category_id"), ""))
            entries[files[thing["image_id"]]].append(answer)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is no COCO file ({error!r}): export it again.") from error
    return Answers(lambda found, _shape: found, entries)


def _of_coco(thing: dict, kind: str) -> Answer:
    """One annotation; run-length masks count as their box."""
    outlines = thing.get("segmentation")
    if isinstance(outlines, list) and outlines:
        return _outlined(kind, [np.reshape(points, (-1, 2)).astype(float) for points in outlines])
    left, top, wide, high = (float(value) for value in thing["bbox"])
    return Answer(kind, (left, top, left + wide, top + high))


def _label_image(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A label image of the field's size."""
    labels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if labels is None or labels.ndim != 2:
        raise InputError(
            f"{path} is no label image: one channel, 0 outside, a number for each cell."
        )
    if labels.shape != tuple(shape[:2]):
        raise InputError(
            f"{path} is {labels.shape[1]} x {labels.shape[0]} pixels and its photograph "
            f"{shape[1]} x {shape[0]}: export it at full size."
        )
    if set(np.unique(labels[::7, ::7])) <= {0, 255}:  # black and white: cells by connection
        return cv2.connectedComponents((labels > 0).astype(np.uint8))[1]
    return labels.astype(np.int32)


def white(answers: list[Answer], classes: tuple[str, ...]) -> list[Answer]:
    """Answers that are white cells: of the named classes, or not named as something else."""
    if classes:
        return [answer for answer in answers if answer.kind in classes]
    return [answer for answer in answers if not NOT_WHITE.search(answer.kind)]


def check_classes(found: set[str], classes: tuple[str, ...]) -> None:
    """Stop where a class was asked for that no field has."""
    if missing := [name for name in classes if name not in found]:
        raise InputError(
            f"No box or mask is called {listing(missing)}: choose from {listing(sorted(found), 9)}."
        )
