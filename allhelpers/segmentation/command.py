"""``python -m allhelpers cells``, as a click command that the command line adds."""

from pathlib import Path
from typing import Any

import click

from . import segmenters
from ._seam import RESEARCH_ONLY
from .cutting import cut_cells


@click.command(
    "cells",
    short_help="Cut single white cells out of photographs of smears.",
    epilog="example: python -m allhelpers cells fields --output cells. "
    f"{RESEARCH_ONLY.capitalize()}.",
)
@click.argument("fields", type=click.Path(path_type=Path))
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="New folder for the cells.",
)
@click.option("--label", default="", help="Class of all photographs; folders are then patients.")
@click.option(
    "--table",
    type=click.Path(path_type=Path),
    metavar="CSV",
    help="Columns field and any of label, patient, micrometres_per_pixel.",
)
@click.option(
    "--answers",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Boxes or masks that exist: VOC, COCO, YOLO or label images.",
)
@click.option(
    "--classes",
    default="",
    metavar="NAMES",
    help="Classes of the answers that are white cells, separated by commas.",
)
@click.option(
    "--segmenter",
    default="embedded",
    show_default=True,
    type=click.Choice(list(segmenters.SEGMENTERS)),
    help="Who finds the cells.",
)
@click.option(
    "--red-cell-diameter",
    type=float,
    metavar="PIXELS",
    help="Measured in each photograph unless given.",
)
@click.option("--micrometres-per-pixel", type=float, metavar="UM", help="Of the photographs.")
@click.option(
    "--scale", type=float, metavar="UM", help="Micrometres per pixel that all pictures shall have."
)
@click.option(
    "--side",
    type=int,
    metavar="PIXELS",
    help="Side of the pictures; by default the least that holds the largest cell.",
)
@click.option("--keep-border", is_flag=True, help="Cut out cells that the border cuts, too.")
@click.option("--label-images", is_flag=True, help="Write masks as label images (TIFF).")
@click.option("--no-contact-sheets", is_flag=True, help="Draw no contact sheets.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier output of this command.")
def cells(no_contact_sheets: bool, classes: str, **options: Any) -> None:
    """Cut single white cells out of the photographs FIELDS (a file or a folder).

    Photographs lie in CLASS/PATIENT/, in CLASS/ or all together. The output has the same folders,
    one picture for each cell on black, and says in left_out.csv what was not cut out and why.
    """
    names = tuple(name.strip() for name in classes.split(",") if name.strip())
    cut = cut_cells(**options, classes=names, contact_sheets=not no_contact_sheets)
    click.echo(cut.sentence())
