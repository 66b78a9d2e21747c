__all__ = [
    "Audit",
    "Cells",
    "add_splits",
    "audit",
    "describe_splits",
    "draw_sample",
    "find_images",
    "open_images",
    "prepare",
    "read_manifest",
    "record_audit",
    "record_cells",
    "shared_patients",
]

from .auditing import Audit as Audit
from .auditing import audit as audit
from .auditing import record_audit as record_audit
from .loading import Cells as Cells
from .loading import prepare as prepare
from .loading import record_cells as record_cells
from .matching import read_manifest as read_manifest
from .sources import find_images as find_images
from .sources import open_images as open_images
from .splitting import add_splits as add_splits
from .splitting import describe_splits as describe_splits
from .splitting import shared_patients as shared_patients
from .synthetic import draw_sample as draw_sample
