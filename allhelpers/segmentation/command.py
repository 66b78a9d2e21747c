"""``python -m allhelpers cells``, as a click command that the command line adds.

Nothing else of the room is imported before the command runs: ``--help`` lists it at once.
"""

from pathlib import Path
from typing import Any, get_args

import click

from .parameters import RESEARCH_ONLY, SegmenterName

PATH = click.Path(path_type=Path)


@click.command(
    "cells",
    short_help="cut single white cells out of photographs of smears",
    epilog=f"example: allhelpers cells fields --output cells. {RESEARCH_ONLY.capitalize()}.",
)
@click.argument("fields", type=PATH)
@click.option(
    "--output", required=True, type=PATH, metavar="FOLDER", help="new folder for the cells"
)
@click.option("--label", default="", help="class of all photographs; folders are then patients")
@click.option(
    "--table",
    type=PATH,
    metavar="CSV",
    help="columns field and any of label, patient, micrometres_per_pixel",
)
@click.option(
    "--answers",
    type=PATH,
    metavar="PATH",
    help="boxes or masks that exist: VOC, COCO, YOLO or label images",
)
@click.option(
    "--classes",
    default="",
    metavar="NAMES",
    help="classes of the answers that are white cells, separated by commas",
)
@click.option(
    "--segmenter",
    default="embedded",
    show_default=True,
    type=click.Choice(get_args(SegmenterName)),
    help="who finds the cells",
)
@click.option(
    "--red-cell-diameter",
    type=float,
    metavar="PIXELS",
    help="measured in each photograph unless given",
)
@click.option("--micrometres-per-pixel", type=float, metavar="UM", help="of the photographs")
@click.option(
    "--scale", type=float, metavar="UM", help="micrometres per pixel that all images shall have"
)
@click.option(
    "--side",
    type=int,
    metavar="PIXELS",
    help="side of the images; by default the least that holds the largest cell",
)
@click.option("--keep-border", is_flag=True, help="cut out cells that the border cuts, too")
@click.option("--label-images", is_flag=True, help="write masks as label images (TIFF)")
@click.option("--no-contact-sheets", is_flag=True, help="draw no contact sheets")
@click.option("--overwrite", is_flag=True, help="replace an earlier output of this command")
def cells(no_contact_sheets: bool, classes: str, **options: Any) -> None:
    """Cut single white cells out of the photographs FIELDS (a file or a folder).

    Photographs lie in CLASS/PATIENT/, in CLASS/ or all together. The output has the same folders,
    one image for each cell on black, and says in left_out.csv what was not cut out and why.
    """
    from .cutting import cut_cells

    names = tuple(name.strip() for name in classes.split(",") if name.strip())
    cut = cut_cells(**options, classes=names, contact_sheets=not no_contact_sheets)
    click.echo(cut.sentence())
