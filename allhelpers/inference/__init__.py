"""Saved models at work: new images, explanations, exports, and a page in the browser."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
