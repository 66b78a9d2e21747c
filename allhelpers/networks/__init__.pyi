__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "NAMES",
    "Network",
    "Weights",
    "build",
    "device",
    "fetch",
    "get",
    "head_alone",
    "join",
    "locate",
    "predict",
    "title_of",
]

from .building import Network as Network
from .building import build as build
from .building import device as device
from .building import head_alone as head_alone
from .building import predict as predict
from .ensemble import join as join
from .pretrained import Weights as Weights
from .pretrained import fetch as fetch
from .pretrained import locate as locate
from .registry import ARCHITECTURES as ARCHITECTURES
from .registry import NAMES as NAMES
from .registry import Architecture as Architecture
from .registry import get as get
from .registry import title_of as title_of
