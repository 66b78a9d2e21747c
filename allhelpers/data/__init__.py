"""Cells: found, matched to a manifest, split by image or by patient, decoded, audited."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
