"""Two studies beside the comparison: the collapse of ResNet50, and optimizers with activations."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
