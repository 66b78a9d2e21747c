__all__ = [
    "accuracy_with_intervals",
    "areas",
    "cell_gallery",
    "cells_per_patient",
    "cells_per_split",
    "choices",
    "collapse",
    "confusion_matrix",
    "cost",
    "differences",
    "feature_distributions",
    "feature_map",
    "grad_cam",
    "importance",
    "keep",
    "learning_curves",
    "mean_grad_cam",
    "methods",
    "mistakes",
    "near_pairs",
    "new_cells",
    "patient_cells",
    "patient_strips",
    "patients",
    "ranking_curves",
    "reliability",
    "show",
    "size_gap",
    "split_gap",
    "suspects",
    "uncertain",
]

from .base import keep as keep
from .base import show as show
from .comparing import accuracy_with_intervals as accuracy_with_intervals
from .comparing import cost as cost
from .comparing import differences as differences
from .comparing import methods as methods
from .comparing import size_gap as size_gap
from .comparing import split_gap as split_gap
from .data import areas as areas
from .data import cells_per_patient as cells_per_patient
from .data import cells_per_split as cells_per_split
from .data import feature_distributions as feature_distributions
from .galleries import cell_gallery as cell_gallery
from .galleries import grad_cam as grad_cam
from .galleries import mean_grad_cam as mean_grad_cam
from .galleries import mistakes as mistakes
from .galleries import near_pairs as near_pairs
from .galleries import patient_cells as patient_cells
from .galleries import suspects as suspects
from .galleries import uncertain as uncertain
from .new import new_cells as new_cells
from .results import confusion_matrix as confusion_matrix
from .results import feature_map as feature_map
from .results import importance as importance
from .results import learning_curves as learning_curves
from .results import patient_strips as patient_strips
from .results import patients as patients
from .results import ranking_curves as ranking_curves
from .results import reliability as reliability
from .studies import choices as choices
from .studies import collapse as collapse
