"""Fine-tuning: features of the frozen trunk, the epochs of the tail, classical classifiers."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
