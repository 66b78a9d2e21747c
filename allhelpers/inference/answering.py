"""What a saved model says of pixels, by the quickest engine that is there.

TensorFlow takes eight seconds to start: so what OpenVINO has read of a model is kept in the user's
cache, under the hash of all that decides it, and the model needs neither TensorFlow nor Keras then.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import __version__
from .._core.files import read_json, sha256, write_json
from .._core.machine import user_cache
from ..data.orientations import orient
from ..networks import processor
from ..networks.processor import Forward
from . import saved
from .saved import SavedModel

if TYPE_CHECKING:
    from ..networks.building import Network
    from ..settings import TrainingSettings

LAYOUT = 1  # of what is kept; another number makes it anew
FILES = ("model.xml", "model.bin")
MOST_KEPT = 8  # models, the last used ones

Answer = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

log = logging.getLogger(__name__)


def answering(model: SavedModel | Network) -> Answer:
    """A function from pixels to probabilities, averaged as in the settings, and plain features."""
    classes = len(model.classes)
    forward, settings = _forward(model), model.settings

    def answer(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        turned = [forward(orient(pixels, number)) for number in range(settings.tta)]
        y_prob = np.mean([each[:, -classes:] for each in turned], axis=0)
        return y_prob, turned[0][:, :-classes]

    return answer


def _forward(model: SavedModel | Network) -> Forward:
    """From pixels to features and, after them, probabilities."""
    chosen = engine(model.settings)
    if chosen == "openvino" and isinstance(model, SavedModel):
        try:
            return processor.forward(processor.core().read_model(_kept(model)))
        except OSError as error:
            log.warning("The model is made ready again at each start (%s).", error)
    from ..training import engines
    from . import converting

    network = model.network() if isinstance(model, SavedModel) else model
    return engines.forward(chosen, converting.with_features(network))


def engine(settings: TrainingSettings) -> str:
    """As training chooses, but for half precision: answers are those of the saved run."""
    if not processor.installed() or settings.engine.startswith("keras"):
        return "keras"
    quick = settings.engine.startswith("openvino") or not shutil.which("nvidia-smi")
    return "openvino" if quick else "keras"


def keep_ready(network: Network, folder: str | Path) -> None:
    """Keep what answers quickly while the network is there, so that nobody waits for it later.

    Parameters
    ----------
    network : Network
        Just trained, and written by `training.finish`.
    folder : str or Path
        Of its results.

    Examples
    --------
    At the end of a training; without OpenVINO nothing is done::

        keep_ready(network, result.folder)
    """
    if engine(network.settings) == "openvino":
        try:
            _kept(saved.find(folder), network)
        except OSError as error:
            log.warning("The model is made ready when it is first used (%s).", error)


def _kept(model: SavedModel, network: Network | None = None) -> Path:
    """OpenVINO's file of a model, made if it is not there or was damaged."""
    facts = [LAYOUT, __version__, metadata.version("openvino"), model.record.model.sha256]
    facts += [model.record.architecture, list(model.classes), model.settings.model_dump()]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
    folder = user_cache("models") / key
    if not _is_whole(folder):
        if network is None:
            said = "%s is made ready for this processor: once, half a minute at most."
            log.info(said, model.path.parent)
        _write(network or model.network(), folder)
    os.utime(folder)
    return folder / "model.xml"


def _is_whole(folder: Path) -> bool:
    try:
        return read_json(folder / "sums.json") == _sums(folder)
    except (OSError, ValueError):
        return False


def _sums(folder: Path) -> dict[str, str]:
    return {name: sha256(folder / name) for name in FILES}


def _write(network: Network, folder: Path) -> None:
    from . import converting

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as scratch:
        ready = Path(scratch) / "ready"
        ready.mkdir()
        converting.write(network, ready / "model.xml")
        write_json(ready / "sums.json", _sums(ready))
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # another process was as quick
            os.replace(ready, folder)
    kept = sorted(folder.parent.glob("[!.]*"), key=lambda path: path.stat().st_mtime)
    for old in kept[:-MOST_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
