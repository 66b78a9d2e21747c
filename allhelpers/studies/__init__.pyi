__all__ = ["collapse", "optimizers"]

from . import collapse as collapse
from . import optimizers as optimizers
