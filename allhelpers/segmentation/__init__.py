"""From photographs of blood smears to images of single white cells: found, outlined, cut out.

Research only, not for diagnosis.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
