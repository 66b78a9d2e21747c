"""Fine-tune ImageNet networks on images of single white-blood cells, and measure honestly what
they can do.

A cell's way through the package, one room after the other::

    image files -> manifest row -> pixels -> features -> probabilities -> metrics -> figures, report
                   data                      networks, training           evaluation plotting, ...

`running` drives the rooms (command line, notebooks, sweeps), `inference` uses saved models, `runs`
owns a run's folder, `settings` names every setting. ALL stands for acute lymphoblastic leukaemia.

Research only, not for diagnosis.
"""

from ._core.errors import InputError as InputError

__version__ = "0.1.0"

RESEARCH_ONLY = "Research only, not for diagnosis."
