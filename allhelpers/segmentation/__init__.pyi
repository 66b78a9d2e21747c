__all__ = [
    "Cell",
    "cut_cells",
    "draw_contact_sheet",
    "draw_sample",
    "find_fields",
    "read_answers",
    "read_field",
    "segment",
]

from .answers import read_answers as read_answers
from .cells import Cell as Cell
from .contact_sheet import draw_contact_sheet as draw_contact_sheet
from .cutting import cut_cells as cut_cells
from .embedded import segment as segment
from .fields import find_fields as find_fields
from .fields import read_field as read_field
from .sample import draw_sample as draw_sample
