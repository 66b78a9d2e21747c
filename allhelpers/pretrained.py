"""Where a backbone's weights come from: Keras's ImageNet file, a file of the user's, or a random draw.

The project ships no weights. Nothing here imports Keras before it has to, so that "there is no network" is said
within seconds.
"""

import functools
import hashlib
import os
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from . import architectures, runs
from .errors import InputError, listing

RANDOM_NOTE = "random weights: this shows the pipeline, not transfer learning"
MOST_DEPTH = 20  # of groups in an HDF5 file: Keras's have 5, one that holds itself has no end
NETWORK_PATIENCE = 4  # seconds; a network that hangs must not hold up a run
CALIBRATION_CELLS = 16


@dataclass(frozen=True)
class Weights:
    """Where the weights of one backbone come from.

    Attributes
    ----------
    source : {"imagenet", "file", "random"}
    path : Path or None
        The file; ``None`` for random weights, or while Keras's file is still to be downloaded.
    """

    source: str
    path: Path | None = None

    @property
    def label(self):
        """Short text for tables."""
        return {"imagenet": "ImageNet (Keras)", "random": "random"}.get(self.source) or self.path.name

    @property
    def notes(self):
        """What every output must say about these weights."""
        return [RANDOM_NOTE] if self.source == "random" else []

    def record(self):
        """What parameters.json keeps."""
        digest = runs.sha256(self.path) if self.path else None
        return {"source": self.source, "label": self.label, "sha256": digest}


def locate(architecture, wanted, synthetic=False):
    """Find the weights before any work is done.

    Parameters
    ----------
    architecture : Architecture
    wanted : str
        ``"imagenet"``, ``"random"``, ``"auto"``, ``"default"`` or the path of an HDF5 file without the
        classification layer. ``"default"`` is ``"auto"`` on the synthetic sample and ``"imagenet"`` elsewhere.
    synthetic : bool
        Whether the cells are the sample; only then ``"auto"`` is allowed: ImageNet where it can be had, else random.

    Returns
    -------
    Weights

    Raises
    ------
    InputError
        If the weights cannot be had.

    Examples
    --------
    >>> locate(architectures.get("mobilenet"), "random").notes
    ['random weights: this shows the pipeline, not transfer learning']
    """
    if wanted == "default":
        wanted = "auto" if synthetic else "imagenet"
    if wanted == "auto" and not synthetic:
        raise InputError("weights = auto is for the synthetic sample only: for real cells say imagenet or a file.")
    if wanted == "random":
        return Weights("random")
    if wanted not in ("imagenet", "auto"):
        if not Path(wanted).is_file():
            raise InputError(
                f"The weights file {wanted} for {architecture.title} does not exist: give the path of an HDF5 file, "
                "imagenet or random."
            )
        return Weights("file", Path(wanted))
    if cached := cached_imagenet(architecture):
        return Weights("imagenet", cached)
    if reachable(architecture.weights_url):
        return Weights("imagenet")
    if wanted == "auto":
        return Weights("random")
    raise InputError(
        f"The ImageNet weights of {architecture.title} are neither in Keras's cache ({keras_cache()}) nor to be had "
        f"from {architecture.weights_url} (no answer): connect to the network, or put the file "
        f"{architecture.weights_file} into that folder, or give its path as weights={architecture.name}=PATH."
    )


def keras_cache():
    """Folder where Keras keeps downloaded weights (``KERAS_HOME`` is honoured, as by Keras).

    Examples
    --------
    >>> keras_cache().name
    'models'
    """
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"


def cached_imagenet(architecture):
    """Find Keras's own file in Keras's cache.

    Returns
    -------
    Path or None
        ``None`` if the file is not there, or fails the MD5 that Keras checks (Keras would download it again).

    Examples
    --------
    >>> from dataclasses import replace
    >>> vgg16 = replace(architectures.get("vgg16"), kept_as="nowhere.h5")
    >>> print(cached_imagenet(vgg16))
    None
    """
    path = keras_cache() / architecture.weights_file
    if not path.is_file():
        return None
    if architecture.weights_md5 is None:
        return path
    with open(path, "rb") as stream:
        digest = hashlib.file_digest(stream, "md5").hexdigest()
    return path if digest == architecture.weights_md5 else None


def reachable(url):
    """Whether a server answers within a few seconds; asked once per server and process.

    Examples
    --------
    It needs a network::

        reachable(architectures.get("vgg16").weights_url)  # True
    """
    return _server_answers(url.split("/")[2])


@functools.cache
def _server_answers(host):
    answers = []

    def ask():
        try:
            urllib.request.urlopen(f"https://{host}", timeout=NETWORK_PATIENCE).close()
            answers.append(True)
        except urllib.error.HTTPError:
            answers.append(True)  # an answer, if not a friendly one: the server is there
        except OSError:
            pass

    # A thread, because looking up a name behind a broken network can outlast any socket timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(NETWORK_PATIENCE)
    return bool(answers)


def fetch(architecture, weights):
    """Download Keras's own file if it is still missing.

    Parameters
    ----------
    architecture : Architecture
    weights : Weights

    Returns
    -------
    Weights
        With a path, unless random.

    Examples
    --------
    A file of one's own needs no download:

    >>> fetch(architectures.get("vgg16"), Weights("file", Path("own.h5"))).label
    'own.h5'
    """
    if weights.source != "imagenet" or weights.path:
        return weights
    if architecture.converter:
        path = keras_cache() / architecture.weights_file
        architectures.find(architecture.converter)(architecture.weights_url, path)
        return Weights("imagenet", path)
    import keras

    try:
        path = keras.utils.get_file(
            architecture.weights_file,
            architecture.weights_url,
            cache_subdir="models",
            file_hash=architecture.weights_md5,
        )
    except Exception as error:  # Keras raises a bare Exception for a failed download
        raise InputError(f"The download of {architecture.weights_url} failed: {error}. Run it again.") from error
    return Weights("imagenet", Path(path))


def load(backbone, path):
    """Load a weights file into a backbone, after checking that it fits, layer by layer.

    Parameters
    ----------
    backbone : keras.Model
        Without classification layer.
    path : Path
        Keras's legacy HDF5 layout, as Keras's own files have it.

    Raises
    ------
    InputError
        If the file is not of that kind, lacks layers, or holds other shapes; with the names of the layers.

    Examples
    --------
    >>> import keras
    >>> one, other = (
    ...     keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, bias_initializer=start)])
    ...     for start in ("ones", "zeros")
    ... )
    >>> one.save("one.h5")
    >>> load(other, "one.h5")
    >>> other.layers[0].bias.numpy().tolist()
    [1.0, 1.0]
    """
    import h5py

    layers = {layer.name: [tuple(w.shape) for w in layer.weights] for layer in backbone.layers if layer.weights}
    try:
        with h5py.File(path, "r") as stream:
            check_links(stream, path)
            stored = _stored_shapes(stream)
    except (OSError, KeyError) as error:
        raise InputError(f"{path} is not a Keras weights file in HDF5 layout: give a *_notop.h5 file.") from error
    # Keras matches layers by order; names differ where Keras numbers layers, and in its older files.
    if len(stored) == len(layers):
        stored = dict(zip(layers, stored.values(), strict=True))
    missing = [name for name in layers if name not in stored]
    if missing:
        raise InputError(
            f"{path} lacks {len(missing)} layers of {backbone.name} ({listing(missing)}): use another file."
        )
    surplus = [name for name in stored if name not in layers]
    other = [name for name, shapes in layers.items() if stored[name] != shapes]
    if surplus or other:
        raise InputError(
            f"{path} does not fit {backbone.name}: other shapes or layers at {listing(other + surplus)}. Use the file "
            "of this architecture without its classification layer."
        )
    backbone.load_weights(path)


def check_links(group, path, depth=0):
    """Refuse an HDF5 file that would make its reader open other files.

    Parameters
    ----------
    group : h5py.Group
    path : Path
        Of the file, for the error message.
    depth : int
        Of the group in the file.

    Raises
    ------
    InputError
        If there is a soft or external link, or a data set whose values are kept in another file.

    Examples
    --------
    >>> import h5py
    >>> with h5py.File("own.h5", "w") as file:
    ...     file["part"] = h5py.ExternalLink("other.h5", "/")
    ...     check_links(file, "own.h5")
    Traceback (most recent call last):
        ...
    allhelpers.errors.InputError: own.h5 is refused (its part 'part' points to other files): use one that you trust.
    """
    import h5py

    for name in group:
        safe = isinstance(group.get(name, getlink=True), h5py.HardLink) and depth < MOST_DEPTH
        item = group[name] if safe else None
        if isinstance(item, h5py.Dataset):
            safe = not item.external and not item.is_virtual
        if not safe:
            raise InputError(f"{path} is refused (its part {name!r} points to other files): use one that you trust.")
        if isinstance(item, h5py.Group):
            check_links(item, path, depth + 1)


def _stored_shapes(stream):
    """Shapes of the weights in a legacy HDF5 file, layer by layer, in the file's order."""
    group = stream["model_weights"] if "layer_names" not in stream.attrs and "model_weights" in stream else stream
    names = [name.decode() if isinstance(name, bytes) else name for name in group.attrs["layer_names"]]
    shapes = {name: [tuple(group[name][w].shape) for w in group[name].attrs["weight_names"]] for name in names}
    return {name: found for name, found in shapes.items() if found}


def draw_random(backbone, preprocessed):
    """Make randomly initialised layers pass signals on, so that a frozen random backbone is worth something.

    Statistics are measured once on training cells: each batch normalisation takes the mean and variance that it
    sees; without batch normalisation each convolution is scaled and shifted to mean 0 and variance 1 per channel
    (data-dependent initialisation, Salimans & Kingma 2016, "Weight normalization").

    Parameters
    ----------
    backbone : keras.Model
        Built with random weights; changed in place.
    preprocessed : array of shape (n, height, width, 3)
        Training cells after the architecture's preprocessing.

    Examples
    --------
    >>> import keras
    >>> inputs, pictures = keras.Input((8, 8, 3)), keras.random.uniform((16, 8, 8, 3), 0, 255, seed=1)
    >>> backbone = keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs))
    >>> draw_random(backbone, pictures)
    >>> round(float(keras.ops.std(backbone(pictures))), 2)
    1.0
    """
    import keras
    import tensorflow as tf

    norms = [layer for layer in backbone.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if norms:
        momenta = [layer.momentum for layer in norms]
        for layer in norms:
            layer.momentum = 0.0
        # Compiled, because Keras keeps all intermediate results of an eager call: 1.6 GB for ResNet50.
        tf.function(lambda cells: backbone(cells, training=True))(preprocessed)
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
        return
    outputs = keras.ops.convert_to_tensor(preprocessed)
    for layer in backbone.layers[1:]:  # a chain, as VGG16 is
        if isinstance(layer, keras.layers.Conv2D):
            _standardise(layer, outputs)
        outputs = layer(outputs)


def _standardise(layer, inputs):
    """Scale and shift a convolution so that each of its channels, before ReLU, has mean 0 and variance 1."""
    import keras

    activation, layer.activation = layer.activation, keras.activations.linear
    mean, variance = keras.ops.moments(layer(inputs), axes=(0, 1, 2))
    layer.activation = activation
    deviation = keras.ops.sqrt(variance + 1e-6)
    layer.kernel.assign(layer.kernel / deviation)
    layer.bias.assign((layer.bias - mean) / deviation)
