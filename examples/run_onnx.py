"""Classify images with an exported model; needs onnxruntime, OpenCV and NumPy, not this project.

    allhelpers export RUN/mobilenet --format onnx --output mobilenet.onnx
    python examples/run_onnx.py mobilenet.onnx IMAGE [IMAGE ...]

Research only, not for diagnosis.
"""

import json
import sys

import cv2
import numpy as np
import onnxruntime


def pixels_of(path: str, size: int, crop: int) -> np.ndarray:
    """An image as in training: whole (crop 0) or its central square, resized by area, RGB."""
    image = cv2.imread(path, cv2.IMREAD_COLOR)
    if crop:
        top, left = (max(0, (side - crop) // 2) for side in image.shape[:2])
        image = image[top : top + crop, left : left + crop]
    small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2RGB)[np.newaxis]


def main(model: str, *paths: str) -> None:
    """One line per image: the probability of each class."""
    session = onnxruntime.InferenceSession(model)
    pixels = session.get_inputs()[0]
    with open(f"{model}.json", encoding="utf-8") as stream:  # written beside the model by `export`
        described = json.load(stream)
    for path in paths:
        cell = pixels_of(path, pixels.shape[1], described["crop"])
        (y_prob,) = session.run(None, {pixels.name: cell})[0]
        named = zip(described["output"], y_prob, strict=True)
        print(path, *(f"{name} = {p:.3f}" for name, p in named))


if __name__ == "__main__":
    main(*sys.argv[1:])
