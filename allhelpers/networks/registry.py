"""What a backbone is, as data: adding an architecture is adding one entry to ``ARCHITECTURES``.

Preprocessing is built into the model, so that nobody can apply the wrong one or apply it twice: the
most likely cause of the published ResNet50 result of 51.4 %.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.constants import INPUT_SIZE
from .._core.errors import InputError

if TYPE_CHECKING:
    import keras

# Where a backbone is cut: a layer, or several of one height and width, "pooled" or "pixels".
Cut = str | tuple[str, ...]
Blocks = tuple[tuple[str, Cut | None], ...]

KERAS_FILES = "https://storage.googleapis.com/tensorflow/keras-applications"
ORDERED = "_weights_tf_dim_ordering_tf_kernels_notop.h5"


@dataclass(frozen=True)
class Architecture:
    """A backbone and everything that depends on it.

    Attributes
    ----------
    name, title : str
        Name in settings and file names; name in figures and tables.
    builder : str
        ``"module:function"`` of the Keras builder (imported only when a model is built).
    preprocessing : {"tf", "caffe", "torch", "inside"}
        ``"tf"``: ``x / 127.5 - 1``; ``"caffe"``: RGB to BGR, minus the ImageNet means; ``"torch"``:
        ``x / 255``, minus torchvision's means, divided by its deviations; ``"inside"``: Keras's
        backbone begins with layers that do so, and takes plain pixels.
    blocks : tuple of (str, str or tuple of str or None)
        Blocks from the input to the top: their names, and the layer whose output ends the block; or
        several layers of one height and width, where a block reads more than its predecessor;
        ``None`` at the top, where Keras gives the last layer a new name in every session. No
        connection crosses these layers, so the backbone may be cut at each of them.
    trained_block : str
        The lowest block that is trained by default, with all above it.
    gmacs, top_gmacs : float
        Multiply-adds of one forward pass, in units of 1e9: of the whole backbone, and of what is
        trained by default.
    weights_url : str
        Keras's own ImageNet file without the classification layer.
    weights_hash : str or None
        The MD5 or SHA-256 that Keras itself checks; ``None`` where Keras records none.
    input_size : int
        Height and width of the images that it was made for, in pixels.
    converter : str or None
        Where ``weights_url`` is not Keras's: ``"module:function"`` that downloads it and writes the
        HDF5 file whose path it is given.
    kept_as : str or None
        Name of the file in Keras's cache folder, where it is not that of ``weights_url``.

    Examples
    --------
    >>> mobilenet = ARCHITECTURES["mobilenet"]
    >>> mobilenet.cut("none"), mobilenet.cut("default"), mobilenet.cut("all")
    ('pooled', 'conv_pw_12_relu', 'pixels')
    """

    name: str
    title: str
    builder: str
    preprocessing: str
    blocks: Blocks
    trained_block: str
    gmacs: float
    top_gmacs: float
    weights_url: str
    weights_hash: str | None = None
    input_size: int = INPUT_SIZE
    converter: str | None = None
    kept_as: str | None = None

    @property
    def weights_file(self) -> str:
        """Name of the ImageNet file in Keras's cache folder."""
        return self.kept_as or self.weights_url.rsplit("/", 1)[1]

    def build(self, input_size: int = INPUT_SIZE) -> keras.Model:
        """Build the Keras backbone without its classification layer, with random weights."""
        builder = find(self.builder)
        return builder(weights=None, include_top=False, input_shape=(input_size, input_size, 3))

    def cut(self, unfreeze: str) -> Cut:
        """Find where the backbone is cut when ``unfreeze`` is trained.

        Parameters
        ----------
        unfreeze : str
            ``"none"`` (only the new head), ``"default"`` (the architecture's default), ``"all"``,
            or the name of the lowest block to train.

        Returns
        -------
        str or tuple of str
            The layers whose outputs are the cut; ``"pixels"`` below the first block, ``"pooled"``
            above the last one.

        Raises
        ------
        InputError
            If there is no such block.
        """
        names = [block for block, _ in self.blocks]
        if unfreeze == "none":
            return "pooled"
        lowest = {"default": self.trained_block, "all": names[0]}.get(unfreeze, unfreeze)
        if lowest not in names:
            raise InputError(
                f"unfreeze = {unfreeze!r} is not a part of {self.title}: choose none, default, "
                f"all, or one of {', '.join(names)}."
            )
        below = names.index(lowest) - 1
        return "pixels" if below < 0 else self.blocks[below][1] or "pooled"

    def end(self, block: str) -> Cut | None:
        """The layers that end a block; ``None`` at the top, where names change."""
        ends = dict(self.blocks)
        if block not in ends:
            raise InputError(
                f"depths names {block!r}, which {self.title} has not: choose of {', '.join(ends)}."
            )
        return ends[block]

    def trained_gmacs(self, unfreeze: str) -> float:
        """Multiply-adds of the trained part, between known points in proportion to its blocks."""
        names = [block for block, _ in self.blocks]
        if unfreeze in ("none", "default", "all"):
            return {"none": 0.0, "default": self.top_gmacs, "all": self.gmacs}[unfreeze]
        default, lowest = names.index(self.trained_block), names.index(unfreeze)
        share = (default - lowest) / default if lowest < default else 0.0
        return self.top_gmacs + share * (self.gmacs - self.top_gmacs)


def find(place: str) -> Callable[..., Any]:
    """Import what ``"module:function"`` names."""
    module, function = place.split(":")
    return getattr(importlib.import_module(module), function)


def check_pixels(pixels: np.ndarray) -> np.ndarray:
    """Refuse pixels outside 0..255, and images that somebody has already divided by 255."""
    pixels = np.asarray(pixels)
    if pixels.dtype == np.uint8:
        return pixels
    if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 255:
        raise InputError(
            "Pixels must lie in 0..255: pass the image as it was read, the preprocessing is "
            "inside the model."
        )
    if not np.array_equal(pixels, np.round(pixels)):
        raise InputError(
            "Pixels must be whole numbers in 0..255, but have fractions: do not divide by 255, the "
            "preprocessing is inside the model."
        )
    return pixels.astype(np.uint8)


def _resnet50_blocks() -> Blocks:
    residual_blocks = {2: 3, 3: 4, 4: 6, 5: 3}  # of each stage
    names = [f"conv{stage}_block{k + 1}" for stage, n in residual_blocks.items() for k in range(n)]
    return (("conv1", "pool1_pool"), *((name, f"{name}_out") for name in names))


def _nasnet_cells() -> Blocks:
    """Twelve normal cells read the two before them; a reduction cell belongs to the next one."""
    blocks: list[tuple[str, Cut | None]] = []
    for reduction, first in (("stem_2", 0), ("reduce_4", 5), ("reduce_8", 9)):
        cells = range(first, first + 4)
        layers = [f"reduction_concat_{reduction}", *(f"normal_concat_{cell}" for cell in cells)]
        pairs = zip(cells, itertools.pairwise(layers), strict=True)
        blocks += [(f"cell_{cell}", pair) for cell, pair in pairs]
    return (*blocks[:-1], ("cell_12", None))


def _convnext_stages() -> Blocks:
    """Stages end where the next one halves the maps; sums within a stage have no lasting names."""
    stages = [(f"stage_{k}", f"convnext_tiny_downsampling_block_{k}") for k in range(3)]
    return (("stem", "convnext_tiny_stem"), *stages, ("stage_3", None))


def _efficientnetv2_blocks() -> Blocks:
    """A stage's first block has no sum, as it changes the maps' size or their number."""
    stages = {2: "ab", 3: "ab", 4: "abc", 5: "abcde", 6: "abcdefgh"}
    names = [f"block{stage}{letter}" for stage, letters in stages.items() for letter in letters]
    ends = [(name, f"{name}_{'project_bn' if name[-1] == 'a' else 'add'}") for name in names]
    return (
        ("stem", "stem_activation"),
        ("block1a", "block1a_project_activation"),
        *ends[:-1],
        ("block6h", "top_activation"),
    )


ARCHITECTURES = {
    entry.name: entry
    for entry in (
        Architecture(
            name="mobilenet",
            title="MobileNet",
            builder="keras.applications:MobileNet",
            preprocessing="tf",
            blocks=(
                ("conv1", "conv1_relu"),
                *((f"block_{k}", f"conv_pw_{k}_relu") for k in range(1, 14)),
            ),
            trained_block="block_13",
            gmacs=0.568,
            top_gmacs=0.052,
            weights_url=f"{KERAS_FILES}/mobilenet/mobilenet_1_0_224_tf_no_top.h5",
        ),
        Architecture(
            name="vgg16",
            title="VGG16",
            builder="keras.applications:VGG16",
            preprocessing="caffe",
            blocks=tuple((f"block{k}", f"block{k}_pool") for k in range(1, 6)),
            trained_block="block5",
            gmacs=15.3,
            top_gmacs=1.4,
            weights_url=f"{KERAS_FILES}/vgg16/vgg16{ORDERED}",
            weights_hash="6d6bbae143d832006294945121d1f1fc",
        ),
        Architecture(
            name="resnet50",
            title="ResNet50",
            builder="keras.applications:ResNet50",
            preprocessing="caffe",
            blocks=_resnet50_blocks(),
            trained_block="conv5_block3",
            gmacs=3.86,
            top_gmacs=0.22,
            weights_url=f"{KERAS_FILES}/resnet/resnet50{ORDERED}",
            weights_hash="4d473c1dd8becc155b73f8504c6f6626",
        ),
        Architecture(
            name="inceptionv3",
            title="InceptionV3",
            builder="keras.applications:InceptionV3",
            preprocessing="tf",
            blocks=tuple((f"mixed{k}", f"mixed{k}") for k in range(11)),
            trained_block="mixed10",
            gmacs=5.71,
            top_gmacs=0.39,
            weights_url=f"{KERAS_FILES}/inception_v3/inception_v3{ORDERED}",
            weights_hash="bcbd6486424b2319ff4ef7d526e38f63",
            input_size=299,
        ),
        Architecture(
            name="nasnetmobile",
            title="NASNetMobile",
            builder="keras.applications:NASNetMobile",
            preprocessing="tf",
            blocks=_nasnet_cells(),
            trained_block="cell_12",
            gmacs=0.563,
            top_gmacs=0.035,
            weights_url=f"{KERAS_FILES}/nasnet/NASNet-mobile-no-top.h5",
            weights_hash="1ed92395b5b598bdda52abe5c0dbfd63",
            kept_as="nasnet_mobile_no_top.h5",
        ),
        Architecture(
            name="alexnet",
            title="AlexNet",
            builder="allhelpers.networks.alexnet:AlexNet",
            preprocessing="torch",
            blocks=tuple(
                (f"conv{k}", f"conv{k}{'_pool' if k in (1, 2, 5) else ''}") for k in range(1, 6)
            ),
            trained_block="conv5",
            gmacs=0.656,
            top_gmacs=0.1,
            weights_url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            converter="allhelpers.networks.alexnet:convert",
            kept_as="alexnet_torchvision_notop.h5",
        ),
        Architecture(
            name="efficientnetv2b0",
            title="EfficientNetV2B0",
            builder="keras.applications:EfficientNetV2B0",
            preprocessing="inside",
            blocks=_efficientnetv2_blocks(),
            trained_block="block6h",
            gmacs=0.717,
            top_gmacs=0.0343,
            weights_url=f"{KERAS_FILES}/efficientnet_v2/efficientnetv2-b0_notop.h5",
            weights_hash="893217f2bb855e2983157299931e43ff",
        ),
        Architecture(
            name="convnexttiny",
            title="ConvNeXtTiny",
            builder="keras.applications:ConvNeXtTiny",
            preprocessing="inside",
            blocks=_convnext_stages(),
            trained_block="stage_3",
            gmacs=4.455,
            top_gmacs=0.699,
            weights_url=f"{KERAS_FILES}/convnext/convnext_tiny_notop.h5",
            weights_hash="d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
        ),
    )
}


# For tests: what each real one has, at a thousandth of the cost. No list for users names it.
TOY = Architecture(
    name="toy",
    title="Toy",
    builder="allhelpers.networks.toy:Toy",
    preprocessing="tf",
    blocks=(("block1", "block1_relu"), ("block2", "block2_out"), ("block3", "block3_relu")),
    trained_block="block3",
    gmacs=0.0176,
    top_gmacs=0.0036,
    weights_url="https://example.invalid/toy_notop.h5",
)


def get(name: str) -> Architecture:
    """Look up an architecture by its name.

    Parameters
    ----------
    name : str
        For instance ``"mobilenet"``.

    Returns
    -------
    Architecture

    Raises
    ------
    InputError
        If there is no architecture of that name.

    Examples
    --------
    >>> get("resnet50").preprocessing
    'caffe'
    """
    if name == TOY.name:
        return TOY
    if name not in ARCHITECTURES:
        raise InputError(
            f"{name!r} is not an architecture of this project: choose from "
            f"{', '.join(ARCHITECTURES)}."
        )
    return ARCHITECTURES[name]


CLASSICAL = {
    "svm": "support vector machine",
    "knn": "k-nearest neighbours",
    "mlp": "feed-forward network",
}

# The mean of the networks that are named beside it.
ENSEMBLE, ENSEMBLE_TITLE = "ensemble", "ensemble"

NAMES = (*ARCHITECTURES, *CLASSICAL, ENSEMBLE)


def title_of(name: str) -> str:
    """Name of a method, a network or a classifier, in figures and tables.

    Parameters
    ----------
    name : str

    Returns
    -------
    str

    Raises
    ------
    InputError
        If there is no method of that name.

    Examples
    --------
    >>> title_of("svm")
    'support vector machine'
    """
    if name == ENSEMBLE:
        return ENSEMBLE_TITLE
    return CLASSICAL.get(name) or get(name).title


def notebook_of(name: str) -> str:
    """The notebook that trains a method."""
    return "2_classical" if name in CLASSICAL else f"2_{name}"


def check_method(name: str) -> None:
    """Refuse what is no method."""
    if name not in NAMES:
        raise InputError(
            f"{name!r} is not an architecture or classifier: choose from {', '.join(NAMES)}."
        )
