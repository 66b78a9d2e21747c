__all__ = [
    "claim",
    "classical",
    "compute_features",
    "describe",
    "diagnose",
    "familiar_cells",
    "finish",
    "held_out_predictions",
    "judge_labels",
    "predict_cells",
    "refit_on_all",
    "train",
]

from . import classical as classical
from .crossfitting import held_out_predictions as held_out_predictions
from .crossfitting import judge_labels as judge_labels
from .crossfitting import refit_on_all as refit_on_all
from .diagnostics import diagnose as diagnose
from .familiarity import familiar_cells as familiar_cells
from .finetuning import predict_cells as predict_cells
from .finetuning import train as train
from .records import claim as claim
from .records import describe as describe
from .records import finish as finish
from .trunk import compute_features as compute_features
