"""Predictions become metrics with intervals, comparisons of methods, and explanations."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
