"""Fine-tune ImageNet networks on pictures of single white-blood cells, and measure honestly what they can do.

A cell's way through the package, one room after the other::

    official files -> manifest row -> pixels -> features -> probabilities -> metrics -> figures, report
                      manifest       loading   `--- finetuning ---'         evaluation plotting, report

Research only, not for diagnosis.
"""

__version__ = "0.1.0"

RESEARCH_ONLY = "Research only, not for diagnosis."
