"""The whole way: photographs in, a folder of single cells out."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from . import answers as given
from . import labels, segmenters, writing
from ._seam import InputError, counted, write_csv
from .cells import BORDER, Cell, Segmentation
from .contact_sheet import draw_contact_sheet
from .fields import find_fields, read_field

RED_CELL = 7.5  # micrometres; the diameter of a red cell on a smear
WHOSE = ("field", "label", "patient")
BOX = ("left", "top", "right", "bottom")
COUNTED = ("number", *BOX, "area", "nucleus_area")
MEASURED = (*COUNTED, "touches_border", "confidence", "kind")
CELL_COLUMNS = ("file", "label", "patient", "field", *MEASURED, "micrometres_per_pixel")
LEFT_OUT_COLUMNS = (*WHOSE, "reason", *MEASURED)
FIELD_COLUMNS = (
    *WHOSE,
    "width",
    "height",
    "cells",
    "left_out",
    "red_cell_diameter",
    "micrometres_per_pixel",
    "seconds",
    "note",
)


@dataclass
class Cut:
    """The tables of a run, as they are written."""

    output: Path
    cells: pd.DataFrame  # one row per cell that was cut out
    left_out: pd.DataFrame  # ... per cell or field that was not
    fields: pd.DataFrame  # ... and per field
    side: int  # of every image, in pixels

    def sentence(self) -> str:
        """What has come out, in words."""
        where = counted(len(self.fields), "field")
        text = f"{counted(len(self.cells), 'cell')} from {where} in {self.output}"
        reasons = self.left_out["reason"].value_counts()
        if len(reasons):
            text += "; left out: " + ", ".join(f"{n:,} ({why})" for why, n in reasons.items())
        return text + "."


@dataclass
class _Options:
    """What `cut_cells` was asked for, handed on."""

    segment: Callable[[Path, np.ndarray, float | None], Segmentation]
    folder: Path
    scale: float | None
    side: int | None
    keep_border: bool
    label_images: bool
    contact_sheets: bool
    cells: list[dict] = field(default_factory=list)
    left_out: list[dict] = field(default_factory=list)
    fields: list[dict] = field(default_factory=list)
    largest: int = 1


def cut_cells(
    fields: str | Path,
    output: str | Path,
    *,
    label: str = "",
    table: str | Path | None = None,
    answers: str | Path | None = None,
    classes: tuple[str, ...] = (),
    segmenter: str = "embedded",
    red_cell_diameter: float | None = None,
    micrometres_per_pixel: float | None = None,
    scale: float | None = None,
    side: int | None = None,
    keep_border: bool = False,
    label_images: bool = False,
    contact_sheets: bool = True,
    overwrite: bool = False,
    progress: bool = True,
) -> Cut:
    """Cut single white cells out of photographs of smears.

    Parameters
    ----------
    fields : str or Path
        A photograph or a folder of them, in ``CLASS/PATIENT/``, in ``CLASS/`` or all together.
    output : str or Path
        A new folder. It gets ``CLASS/PATIENT/FIELD_NUMBER.png``, one square image for each
        cell, on black; ``cells.csv``, ``left_out.csv`` and ``fields.csv``; contact sheets.
    label : str
        Class of all photographs; folders are then patients.
    table : str or Path, optional
        CSV file with the column ``field`` and any of ``label``, ``patient`` and
        ``micrometres_per_pixel``, in place of folders.
    answers : str or Path, optional
        Boxes or masks that exist already (see `read_answers`), in place of a segmenter.
    classes : tuple of str
        Their classes that are white cells; by default all that are not named as something else.
    segmenter : str
        ``embedded``, ``cellpose`` or ``stardist``.
    red_cell_diameter : float, optional
        In pixels; by default from the scale, or measured in each field.
    micrometres_per_pixel : float, optional
        Of the photographs.
    scale : float, optional
        Micrometres per pixel that all images shall have; by default that of the photographs.
    side : int, optional
        Side of the images in pixels; by default the least that holds the largest cell.
    keep_border, label_images, contact_sheets, overwrite, progress : bool
        Cut out cells that the border cuts; write label images; draw contact sheets; replace an
        earlier output; show a bar.

    Returns
    -------
    Cut

    Raises
    ------
    InputError
        If there are no photographs, the output exists, or an option makes no sense. A single
        photograph that cannot be read is listed in ``left_out.csv``.

    Examples
    --------
    >>> import cv2
    >>> _ = cv2.imwrite("field.png", np.full((60, 80, 3), 230, np.uint8))
    >>> cut_cells("field.png", "cells", progress=False).sentence()
    '0 cells from 1 field in cells; left out: 1 (No white cells were found.).'
    """
    output = Path(output)
    plan = labels.of_fields(find_fields(fields), fields, label=label, table=table)
    plan["micrometres_per_pixel"] = plan["micrometres_per_pixel"].fillna(
        np.nan if micrometres_per_pixel is None else micrometres_per_pixel
    )
    _check(plan, scale=scale, side=side, diameter=red_cell_diameter)
    known = given.read_answers(answers) if answers else None
    segment = _chooser(known, classes, segmenter, red_cell_diameter)
    with writing.claimed(output, overwrite) as folder:
        options = _Options(segment, folder, scale, side, keep_border, label_images, contact_sheets)
        bar = tqdm(plan.to_dict("records"), "cutting cells", unit="field", disable=not progress)
        for row in bar:
            _one_field(row, options)
        if known:
            given.check_classes(known.kinds, classes)
        return _finished(options, output)


def _check(
    plan: pd.DataFrame, *, scale: float | None, side: int | None, diameter: float | None
) -> None:
    """Stop at options that make no sense, before anything is read."""
    if scale is not None and plan["micrometres_per_pixel"].isna().any():
        raise InputError(
            "scale needs the micrometres per pixel of every photograph: give them for all, or in "
            "the table."
        )
    for name, value in (("scale", scale), ("side", side), ("red_cell_diameter", diameter)):
        if value is not None and value <= 0:
            raise InputError(f"{name} = {value} makes no sense: give a number above 0.")


def _chooser(
    known: given.Answers | None, classes: tuple[str, ...], segmenter: str, diameter: float | None
) -> Callable[[Path, np.ndarray, float | None], Segmentation]:
    """The function that finds the cells of a field, given its path, pixels and scale."""
    if known and segmenter != "embedded":
        raise InputError("answers and a segmenter exclude each other: leave one of them out.")
    chosen = segmenters.get(segmenter)

    def segment(path: Path, image: np.ndarray, scale: float | None) -> Segmentation:
        size = diameter or (RED_CELL / scale if scale else None)
        if not known:
            return chosen(image, red_cell_diameter=size)
        found = known.of(path, image.shape)
        if found is None:
            raise InputError("no boxes or masks for it")
        if isinstance(found, np.ndarray):
            return segmenters.from_labels(image, found, red_cell_diameter=size)
        found = given.white(found, classes)
        return segmenters.from_answers(image, found, red_cell_diameter=size)

    return segment


def _one_field(row: dict, options: _Options) -> None:
    """Read a field, find its cells, write them and their rows."""
    began = time.perf_counter()
    about = {name: row[name] for name in WHOSE}
    try:
        if row["problem"]:
            raise InputError(row["problem"])
        image = read_field(row["path"])
        scale = None if pd.isna(row["micrometres_per_pixel"]) else row["micrometres_per_pixel"]
        found = options.segment(Path(row["path"]), image, scale)
    except InputError as error:
        options.left_out.append({**about, "reason": str(error)})
        options.fields.append({**about, "cells": 0, "left_out": 0, "note": str(error)})
        return
    factor = scale / options.scale if scale and options.scale else 1.0
    cells = [replace(cell, reason=_reason(cell, factor, options)) for cell in found.cells]
    found = replace(found, cells=cells)
    for number, cell in enumerate(cells, start=1):
        values = {**about, **_measured(cell, number)}
        if cell.reason:
            options.left_out.append({**values, "reason": cell.reason})
            continue
        part = writing.cut_out(image, cell, factor)
        file = f"{row['label']}/{row['patient']}/{row['name']}_{number:03}.png"
        writing.save(options.folder / file, part)
        options.largest = max(options.largest, *part.shape[:2])
        options.cells.append(
            {"file": file, **values, "micrometres_per_pixel": options.scale or scale}
        )
    if options.label_images:
        writing.save_labels(options.folder, row["name"], cells, image.shape)
    if options.contact_sheets:
        sheet = draw_contact_sheet(image, found, title=row["field"])
        writing.save(options.folder / writing.SHEETS / f"{row['name']}.webp", sheet)
    if found.note and not cells:
        options.left_out.append({**about, "reason": found.note})
    options.fields.append(
        {
            **about,
            "width": image.shape[1],
            "height": image.shape[0],
            "cells": len(found.whole),
            "left_out": len(cells) - len(found.whole),
            "note": found.note,
            "red_cell_diameter": round(found.red_cell_diameter, 1),
            "micrometres_per_pixel": scale,
            "seconds": round(time.perf_counter() - began, 3),
        }
    )


def _reason(cell: Cell, factor: float, options: _Options) -> str:
    """Why a cell is not cut out, by what was asked for of the border and of the size."""
    left, top, right, bottom = cell.box
    if cell.reason and not (options.keep_border and cell.reason == BORDER):
        return cell.reason
    if options.side and max(right - left, bottom - top) > options.side / factor:
        return f"larger than the square of {options.side} pixels"
    return ""


def _measured(cell: Cell, number: int) -> dict:
    """What the tables say of a cell, in pixels of the field."""
    return {
        "number": number,
        **dict(zip(BOX, cell.box, strict=True)),
        "area": cell.area,
        "nucleus_area": int(cell.nucleus.sum()),
        "kind": cell.kind,
        "touches_border": cell.touches_border,
        "confidence": cell.confidence,
    }


def _finished(options: _Options, output: Path) -> Cut:
    """Squares of one side, tables, and the folder in its place."""
    side = options.side or writing.side_for(options.largest)
    writing.centre_all(options.folder, [row["file"] for row in options.cells], side)
    cells = pd.DataFrame(options.cells, columns=list(CELL_COLUMNS))
    left_out = pd.DataFrame(options.left_out, columns=list(LEFT_OUT_COLUMNS))
    left_out = left_out.astype(dict.fromkeys(COUNTED, "Int64"))
    fields = pd.DataFrame(options.fields, columns=list(FIELD_COLUMNS))
    for name, table in zip(writing.TABLES, (cells, left_out, fields), strict=True):
        write_csv(options.folder / name, table)
    return Cut(output, cells, left_out, fields, side)
