__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Network",
    "Weights",
    "build",
    "fetch",
    "get",
    "join",
    "locate",
    "predict",
    "title_of",
]

from .building import Network as Network
from .building import build as build
from .building import predict as predict
from .ensemble import join as join
from .pretrained import Weights as Weights
from .pretrained import fetch as fetch
from .pretrained import locate as locate
from .registry import ARCHITECTURES as ARCHITECTURES
from .registry import Architecture as Architecture
from .registry import get as get
from .registry import title_of as title_of
