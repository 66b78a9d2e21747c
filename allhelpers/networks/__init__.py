"""ImageNet backbones with a new head, cut into trunk and tail, and their weights."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
