"""What ``allhelpers predict`` and ``allhelpers export`` do: everything is checked before work."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from .. import RESEARCH_ONLY
from .._core.errors import InputError
from .._core.files import write_for_people
from ..runs import check_free
from . import new_images, uploads

SUFFIXES = {"onnx": ".onnx", "litert": ".tflite", "saved_model": "_saved_model"}
PARTLY = 3  # exit status where some images could not be used

log = logging.getLogger(__name__)


def predict(
    model: Path, paths: Sequence[str], output: Path, *, image_size: int | None, overwrite: bool
) -> int:
    """Classify images, write the table, and say what it comes to; returns the exit status."""
    check_free(output, overwrite=overwrite)
    with uploads.private() as scratch:
        found = new_images.find(paths, scratch)
        from . import predicting, saved  # pandas takes a second: not for a misspelt name

        table = predicting.predict(saved.find(model), found, image_size=image_size)
    write_for_people(output, table)
    for line in predicting.counts(table):
        log.info("%s", line)
    used = int((table["predicted"] != "").sum())
    of = "" if used == len(table) else f" of {len(table):,}"
    log.info("%s%s images classified: %s. %s", f"{used:,}", of, output, RESEARCH_ONLY)
    return PARTLY if of else 0


def export(
    model: Path,
    kind: str,
    paths: Sequence[str],
    output: Path | None,
    *,
    image_size: int | None,
    overwrite: bool,
) -> None:
    """Write a model in another format, and say how far it differs."""
    from . import saved

    for each in _written(output) if output else ():
        check_free(each, overwrite=overwrite)
    opened = saved.find(model)
    path = output or opened.path.parent / f"{opened.record.architecture}{SUFFIXES[kind]}"
    with uploads.private() as scratch:
        found = new_images.find(paths, scratch) if paths else None
        if kind == "saved_model" and path.exists():
            raise InputError(f"{path} exists: remove it, or choose another --output.")
        for each in _written(path):
            check_free(each, overwrite=overwrite)

        from . import exporting

        cells, difference = exporting.export(
            opened.network(), kind, path, files=found, image_size=image_size
        )
    said = "%s: probabilities of %s differ by %.1e at most. %s"
    log.info(said, path, cells, difference, RESEARCH_ONLY)


def _written(path: Path) -> tuple[Path, Path]:
    """An exported model, and what says of it."""
    return path, path.with_name(f"{path.name}.json")
