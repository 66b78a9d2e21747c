"""Weights files are read by shape and by nothing else: no code in them is ever run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from .._core.errors import InputError, listing

if TYPE_CHECKING:
    import keras

MOST_DEPTH = 20  # of groups in an HDF5 file: Keras's have 5, one that holds itself has no end
# Bytes of a number: a forged element may have any size, and is read before its shape is looked at.
MOST_ITEM = 8


def load(backbone: keras.Model, path: Path) -> None:
    """Load a weights file into a backbone, after checking that it fits, layer by layer."""
    weighty = [layer for layer in backbone.layers if layer.weights]
    wanted = {layer.name: [tuple(w.shape) for w in layer.weights] for layer in weighty}
    try:
        with h5py.File(path, "r") as stream:
            check_links(stream, path)
            stored = _stored_shapes(stream)
    except (OSError, KeyError) as error:
        raise InputError(
            f"{path} is not a Keras weights file in HDF5 layout: give a *_notop.h5 file."
        ) from error
    # Keras matches layers by order; names differ where it numbers them, and in its older files.
    if len(stored) == len(wanted):
        stored = dict(zip(wanted, stored.values(), strict=True))
    missing = [name for name in wanted if name not in stored]
    if missing:
        raise InputError(
            f"{path} lacks {len(missing)} layers of {backbone.name} ({listing(missing)}): use "
            "another file."
        )
    other = [name for name, shapes in wanted.items() if stored[name] != shapes]
    surplus = [name for name in stored if name not in wanted]
    if other or surplus:
        raise InputError(
            f"{path} does not fit {backbone.name}: other shapes or layers at "
            f"{listing(other + surplus)}. Use the file of this architecture without its "
            "classification layer."
        )
    backbone.load_weights(path)


def check_links(group: h5py.Group, path: Path, depth: int = 0) -> None:
    """Refuse a file that makes its reader open others, or take memory for what no weights are."""
    for name in group:
        safe = isinstance(group.get(name, getlink=True), h5py.HardLink) and depth < MOST_DEPTH
        item = group[name] if safe else None
        if isinstance(item, h5py.Dataset):
            safe = not item.external and not item.is_virtual
        if not safe:
            raise InputError(
                f"{path} is refused (its part {name!r} points to other files): use one that you "
                "trust."
            )
        if isinstance(item, h5py.Group):
            check_links(item, path, depth + 1)
        elif isinstance(item, h5py.Dataset) and (
            item.dtype.kind not in "fiub" or item.dtype.itemsize > MOST_ITEM
        ):
            raise InputError(
                f"{path} is refused (its part {name!r} holds {item.dtype}, not numbers): use one "
                "that you trust."
            )


def _stored_shapes(stream: h5py.File) -> dict[str, list[tuple[int, ...]]]:
    """Shapes of the weights in a legacy HDF5 file, layer by layer, in the file's order."""
    inside = "layer_names" not in stream.attrs and "model_weights" in stream
    group = stream["model_weights"] if inside else stream
    shapes = {}
    for name in group.attrs["layer_names"]:
        name = name.decode() if isinstance(name, bytes) else name
        layer = group[name]
        shapes[name] = [tuple(layer[weight].shape) for weight in layer.attrs["weight_names"]]
    return {name: each for name, each in shapes.items() if each}
