"""Weights files are read by shape and by nothing else: no code in them is ever run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._core.errors import InputError, listing

if TYPE_CHECKING:
    import keras
MOST_DEPTH = 20  # of groups in an HDF5 file: Keras's have 5, one that holds itself has no end


def load(backbone: keras.Model, path: Path) -> None:
    """Load a weights file into a backbone, after checking that it fits, layer by layer."""
    import h5py

    layers = {
        layer.name: [tuple(w.shape) for w in layer.weights]
        for layer in backbone.layers
        if layer.weights
    }
    try:
        with h5py.File(path, "r") as stream:
            check_links(stream, path)
            stored = _stored_shapes(stream)
    except (OSError, KeyError) as error:
        raise InputError(
            f"{path} is not a Keras weights file in HDF5 layout: give a *_notop.h5 file."
        ) from error
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


def check_links(group: Any, path: Path, depth: int = 0) -> None:
    """Refuse an HDF5 file that would make its reader open other files."""
    import h5py

    for name in group:
        safe = isinstance(group.get(name, getlink=True), h5py.HardLink) and depth < MOST_DEPTH
        item = group[name] if safe else None
        if isinstance(item, h5py.Dataset):
            safe = not item.external and not item.is_virtual
        if not safe:
            raise InputError(
                f"{path} is refused (its part {name!r} points to other files): use one that you trust."
            )
        if isinstance(item, h5py.Group):
            check_links(item, path, depth + 1)


def _stored_shapes(stream: Any) -> Any:
    """Shapes of the weights in a legacy HDF5 file, layer by layer, in the file's order."""
    group = (
        stream["model_weights"]
        if "layer_names" not in stream.attrs and "model_weights" in stream
        else stream
    )
    names = [
        name.decode() if isinstance(name, bytes) else name for name in group.attrs["layer_names"]
    ]
    shapes = {
        name: [tuple(group[name][w].shape) for w in group[name].attrs["weight_names"]]
        for name in names
    }
    return {name: found for name, found in shapes.items() if found}
