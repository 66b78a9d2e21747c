"""Every figure, one function each, returning the matplotlib Figure.

Colours are the colour-blind-safe Okabe-Ito set; figures are sized for the width of a notebook.
"""

from .comparing import accuracy_with_intervals, cost, differences, methods, split_gap
from .data import areas, cells_per_patient, cells_per_side, feature_distributions
from .galleries import cell_gallery, mistakes, near_pairs
from .new import new_cells
from .results import (
    confusion_matrix,
    importance,
    learning_curves,
    patients,
    ranking_curves,
    reliability,
)
from .studies import choices, collapse

__all__ = [
    "accuracy_with_intervals", "areas", "cell_gallery", "cells_per_patient", "cells_per_side", "choices", "collapse",
    "confusion_matrix", "cost", "differences", "feature_distributions", "importance", "learning_curves", "methods",
    "mistakes", "near_pairs", "new_cells", "patients", "ranking_curves", "reliability", "split_gap",
]  # fmt: skip
