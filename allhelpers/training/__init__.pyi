__all__ = [
    "candidates",
    "claim",
    "compute_features",
    "describe",
    "diagnose",
    "familiar_cells",
    "feature_importance",
    "finish",
    "handcrafted_features",
    "head_features",
    "held_out_predictions",
    "judge_labels",
    "predict_cells",
    "predict_classifier",
    "refit_on_all",
    "train",
    "train_classifier",
    "write_classifier",
]

from .classical import candidates as candidates
from .classical import feature_importance as feature_importance
from .classical import handcrafted_features as handcrafted_features
from .classical import predict_classifier as predict_classifier
from .classical import train_classifier as train_classifier
from .classical import write_classifier as write_classifier
from .crossfitting import held_out_predictions as held_out_predictions
from .crossfitting import judge_labels as judge_labels
from .crossfitting import refit_on_all as refit_on_all
from .diagnostics import diagnose as diagnose
from .familiarity import familiar_cells as familiar_cells
from .familiarity import head_features as head_features
from .finetuning import predict_cells as predict_cells
from .finetuning import train as train
from .records import claim as claim
from .records import describe as describe
from .records import finish as finish
from .trunk import compute_features as compute_features
