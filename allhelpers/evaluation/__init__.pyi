__all__ = [
    "beside_paper",
    "calibrate",
    "cells_of_run",
    "compare",
    "compare_methods",
    "evaluate",
    "evidence",
    "map_of_features",
    "measure",
    "measured",
    "notes_of",
    "stages",
    "summarize",
    "write_baselines",
    "write_suspects",
]

from .baselines import write_baselines as write_baselines
from .explaining import evidence as evidence
from .explaining import map_of_features as map_of_features
from .gathering import compare as compare
from .gathering import compare_methods as compare_methods
from .gathering import stages as stages
from .gathering import summarize as summarize
from .metrics import evaluate as evaluate
from .metrics import measure as measure
from .operating import calibrate as calibrate
from .published import beside_paper as beside_paper
from .published import measured as measured
from .suspects import cells_of_run as cells_of_run
from .suspects import write_suspects as write_suspects
from .words import notes_of as notes_of
