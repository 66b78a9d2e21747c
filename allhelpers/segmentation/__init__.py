"""From photographs of blood smears to pictures of single white cells.

::

    from allhelpers import segmentation

    segmentation.cut_cells("fields", "cells")                  # a folder of photographs
    cells = segmentation.segment(segmentation.read_field("field.jpg")).cells   # one of them

Research only, not for diagnosis.
"""

import importlib

_HOMES = {
    "Cell": "cells", "Segmentation": "cells", "cut_cells": "cutting", "find_fields": "fields",
    "read_field": "fields", "read_answers": "answers", "segment": "embedded",
    "draw_contact_sheet": "contact_sheet",
}  # fmt: skip

__all__ = [
    "Cell", "Segmentation", "cut_cells", "draw_contact_sheet", "find_fields", "read_answers",
    "read_field", "segment",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Import what is asked for only then (PEP 562): ``import allhelpers`` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    """The names of the face."""
    return sorted(__all__)
