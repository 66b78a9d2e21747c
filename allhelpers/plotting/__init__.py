"""Every figure, one function each, returning the matplotlib Figure.

Colours are the colour-blind-safe Okabe-Ito set; figures are sized for the width of a notebook.
"""

from .base import DPI, encoded, keep
from .comparing import accuracy_with_intervals, cost, differences, methods, split_gap
from .data import areas, cells_per_patient, cells_per_side, feature_distributions
from .galleries import cell_gallery, grad_cam, mean_grad_cam, mistakes, near_pairs, patient_cells, uncertain
from .new import new_cells
from .results import (
    confusion_matrix,
    feature_map,
    importance,
    learning_curves,
    patient_strips,
    patients,
    ranking_curves,
    reliability,
)
from .studies import choices, collapse
from .sweeps import between, spread

__all__ = [
    "DPI", "accuracy_with_intervals", "areas", "between", "cell_gallery", "cells_per_patient", "cells_per_side",
    "choices", "collapse", "confusion_matrix", "cost", "differences", "encoded", "feature_distributions", "feature_map",
    "grad_cam", "importance", "keep", "learning_curves", "mean_grad_cam", "methods", "mistakes", "near_pairs",
    "new_cells", "patient_cells", "patient_strips", "patients", "ranking_curves", "reliability", "split_gap",
    "spread", "uncertain",
]  # fmt: skip
