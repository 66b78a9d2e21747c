"""Classify images with an exported model; needs onnxruntime, OpenCV, Pillow and SciPy, not this
project: its decoder lies beside the model, so that pixels are those of training.

    allhelpers export RUN/mobilenet --format onnx --output mobilenet.onnx
    python examples/run_onnx.py mobilenet.onnx IMAGE [IMAGE ...]

Research only, not for diagnosis.
"""

import json
import sys
from pathlib import Path

import onnxruntime


def main(model: str, *paths: str) -> None:
    """One line per image: the probability of each class."""
    sys.path.insert(0, f"{model}.decoder.zip")  # both are written beside the model by `export`
    from decoder.data import images

    described = json.loads(Path(f"{model}.json").read_text(encoding="utf-8"))
    how = {name: described[name] for name in ("size", "crop", "image_size")}
    session = onnxruntime.InferenceSession(model)
    name = session.get_inputs()[0].name
    for path in paths:
        cell = images.decode(images.read(Path(path)), path, **how)
        (y_prob,) = session.run(None, {name: cell[None]})[0]
        named = zip(described["output"], y_prob, strict=True)
        print(path, *(f"{name} = {p:.3f}" for name, p in named))


if __name__ == "__main__":
    main(*sys.argv[1:])
