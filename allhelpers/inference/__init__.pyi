__all__ = [
    "build_page",
    "ensembles",
    "explain",
    "explain_test_cells",
    "export",
    "keep_ready",
    "launch_page",
    "load",
    "page_heading",
    "predict",
    "probabilities",
    "reference_cells",
    "serve",
]

from . import ensembles as ensembles
from .answering import keep_ready as keep_ready
from .exporting import export as export
from .page import build_page as build_page
from .page import launch_page as launch_page
from .page import page_heading as page_heading
from .page import serve as serve
from .predicting import predict as predict
from .predicting import probabilities as probabilities
from .saved import load as load
from .similar import explain as explain
from .similar import explain_test_cells as explain_test_cells
from .similar import reference_cells as reference_cells
