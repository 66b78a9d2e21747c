__all__ = [
    "Plan",
    "SweepOptions",
    "check_version",
    "distribute_features",
    "estimate",
    "from_notebook",
    "offer",
    "plan_run",
    "read_file",
    "read_sweep",
    "run_notebooks",
    "run_study",
    "run_sweep",
]

from .cluster import SweepOptions as SweepOptions
from .colab import check_version as check_version
from .colab import offer as offer
from .distributed import distribute_features as distribute_features
from .estimates import estimate as estimate
from .parameters import from_notebook as from_notebook
from .parameters import read_file as read_file
from .planning import Plan as Plan
from .planning import plan_run as plan_run
from .planning import run_notebooks as run_notebooks
from .planning import run_study as run_study
from .sweep import read_sweep as read_sweep
from .sweep import run_sweep as run_sweep
