"""Every figure, one function each, returning the matplotlib Figure; grouped by what it shows.

Colours are the colour-blind-safe Okabe-Ito set; figures are sized for the width of a notebook.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
