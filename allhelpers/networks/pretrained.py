"""Where a backbone's weights come from: Keras's ImageNet file, a user's file, or a random draw.

The project ships no weights. Nothing here imports Keras before it has to, so that "there is no
network" is said within seconds.
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .._core.errors import InputError
from .._core.files import sha256
from . import registry

if TYPE_CHECKING:
    from .registry import Architecture

RANDOM_NOTE = "random weights: this shows the pipeline, not transfer learning"

NETWORK_PATIENCE = 4  # seconds; a network that hangs must not hold up a run


@dataclass(frozen=True)
class Weights:
    """Where the weights of one backbone come from.

    Attributes
    ----------
    source : {"imagenet", "file", "random"}
    path : Path or None
        The file; ``None`` for random weights, or while Keras's file is still to be downloaded.

    Examples
    --------
    >>> Weights("file", Path("folder/own.h5")).label
    'own.h5'
    """

    source: str
    path: Path | None = None

    @property
    def label(self) -> str:
        """Short text for tables."""
        if self.source == "file" and self.path:
            return self.path.name
        return "random" if self.source == "random" else "ImageNet (Keras)"

    @property
    def notes(self) -> list[str]:
        """What every output must say about these weights."""
        return [RANDOM_NOTE] if self.source == "random" else []

    def record(self) -> dict[str, str | None]:
        """What parameters.json keeps."""
        digest = sha256(self.path) if self.path else None
        return {"source": self.source, "label": self.label, "sha256": digest}


def locate(architecture: Architecture, wanted: str, synthetic: bool = False) -> Weights:
    """Find the weights before any work is done.

    Parameters
    ----------
    architecture : Architecture
    wanted : str
        ``"imagenet"``, ``"random"``, ``"auto"``, ``"default"`` or the path of an HDF5 file without
        the classification layer. ``"default"`` is ``"auto"`` on the synthetic sample and
        ``"imagenet"`` elsewhere.
    synthetic : bool
        Whether the cells are the sample; only then ``"auto"`` is allowed: ImageNet where it can be
        had, else random.

    Returns
    -------
    Weights

    Raises
    ------
    InputError
        If the weights cannot be had.

    Examples
    --------
    >>> locate(registry.get("mobilenet"), "random").notes
    ['random weights: this shows the pipeline, not transfer learning']
    """
    if wanted == "default":
        wanted = "auto" if synthetic else "imagenet"
    if wanted == "auto" and not synthetic:
        raise InputError(
            "weights = auto is for the synthetic sample only: for real cells say imagenet or a "
            "file."
        )
    if wanted == "random":
        return Weights("random")
    if wanted not in ("imagenet", "auto"):
        if not Path(wanted).is_file():
            raise InputError(
                f"The weights file {wanted} for {architecture.title} does not exist: give the path "
                "of an HDF5 file, imagenet or random."
            )
        return Weights("file", Path(wanted))
    if cached := cached_imagenet(architecture):
        return Weights("imagenet", cached)
    if reachable(architecture.weights_url):
        return Weights("imagenet")
    if wanted == "auto":
        return Weights("random")
    raise InputError(
        f"The ImageNet weights of {architecture.title} are neither in Keras's cache "
        f"({keras_cache()}) nor to be had from {architecture.weights_url} (no answer): connect to "
        f"the network, or put the file {architecture.weights_file} into that folder, or give its "
        f"path as weights={architecture.name}=PATH."
    )


def keras_cache() -> Path:
    """Folder where Keras keeps downloaded weights (``KERAS_HOME`` is honoured, as by Keras)."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"


def cached_imagenet(architecture: Architecture) -> Path | None:
    """Find Keras's own file in Keras's cache."""
    path = keras_cache() / architecture.weights_file
    if not path.is_file():
        return None
    known = architecture.weights_hash
    if known is None:
        return path
    with open(path, "rb") as stream:
        digest = hashlib.file_digest(stream, "md5" if len(known) == 32 else "sha256").hexdigest()
    return path if digest == known else None


def reachable(url: str) -> bool:
    """Whether a server answers within a few seconds; asked once per server and process."""
    return _server_answers(url.split("/")[2])


@functools.cache
def _server_answers(host: str) -> bool:
    answers: list[bool] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(f"https://{host}", timeout=NETWORK_PATIENCE).close()
            answers.append(True)
        except urllib.error.HTTPError:
            answers.append(True)  # an answer, if not a friendly one: the server is there
        except OSError:
            pass

    # A thread: looking up a name behind a broken network can outlast any socket timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(NETWORK_PATIENCE)
    return bool(answers)


def fetch(architecture: Architecture, weights: Weights) -> Weights:
    """Download Keras's own file if it is still missing.

    Parameters
    ----------
    architecture : Architecture
    weights : Weights

    Returns
    -------
    Weights
        With a path, unless random.

    Raises
    ------
    InputError
        If the download fails.

    Examples
    --------
    A file of one's own needs no download:

    >>> fetch(registry.get("vgg16"), Weights("file", Path("own.h5"))).label
    'own.h5'
    """
    if weights.source != "imagenet" or weights.path:
        return weights
    if architecture.converter:
        path = keras_cache() / architecture.weights_file
        registry.find(architecture.converter)(architecture.weights_url, path)
        return Weights("imagenet", path)
    import keras

    try:
        options = {"cache_subdir": "models", "file_hash": architecture.weights_hash}
        path = keras.utils.get_file(architecture.weights_file, architecture.weights_url, **options)
    except Exception as error:  # Keras raises a bare Exception for a failed download
        raise InputError(
            f"The download of {architecture.weights_url} failed: {error}. Run it again."
        ) from error
    return Weights("imagenet", Path(path))
