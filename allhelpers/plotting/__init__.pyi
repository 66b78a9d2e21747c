__all__ = [
    "comparison",
    "data",
    "galleries",
    "keep",
    "new_cells",
    "results",
    "show",
    "studies",
]

from . import comparison as comparison
from . import data as data
from . import galleries as galleries
from . import results as results
from . import studies as studies
from .base import keep as keep
from .base import show as show
from .new import new_cells as new_cells
