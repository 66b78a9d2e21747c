"""Who calls whom: the command line, plans of runs, the notebooks under papermill, sweeps, Colab."""

import lazy_loader as lazy

from .._core.files import write_csv as write_csv
from .._core.machine import Clock as Clock
from .._core.machine import machine as machine
from ..runs import folder as folder

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
