__all__ = [
    "build_page",
    "explain",
    "explain_test_cells",
    "export",
    "keep_ready",
    "launch_page",
    "load",
    "mean_predictions",
    "member_notes",
    "open_members",
    "page_heading",
    "predict",
    "probabilities",
    "reference_cells",
    "serve",
    "write_ensemble",
]

from .answering import keep_ready as keep_ready
from .ensembles import mean_predictions as mean_predictions
from .ensembles import member_notes as member_notes
from .ensembles import open_members as open_members
from .ensembles import write_ensemble as write_ensemble
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
