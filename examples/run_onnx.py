"""Classify pictures with an exported model; needs onnxruntime, OpenCV and NumPy, not Keras and not this project.

    python -m allhelpers export RUN/mobilenet --format onnx --output mobilenet.onnx
    python examples/run_onnx.py mobilenet.onnx PICTURE [PICTURE ...]

Research only, not for diagnosis.
"""

import json
import sys

import cv2
import numpy as np
import onnxruntime


def pixels_of(path, size, crop):
    """A picture as the model was trained on it: whole (crop 0) or its central square, resized by pixel area, RGB."""
    picture = cv2.imread(path, cv2.IMREAD_COLOR)
    if crop:
        top, left = (max(0, (side - crop) // 2) for side in picture.shape[:2])
        picture = picture[top : top + crop, left : left + crop]
    small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2RGB)[np.newaxis]


def main(model, *paths):
    """One line per picture: the probability of each class."""
    session = onnxruntime.InferenceSession(model)
    given = session.get_inputs()[0]
    with open(f"{model}.json", encoding="utf-8") as stream:  # written beside the model by `export`
        described = json.load(stream)
    for path in paths:
        found = session.run(None, {given.name: pixels_of(path, given.shape[1], described["crop"])})[
            0
        ][0]
        print(
            path, *(f"{name} = {p:.3f}" for name, p in zip(described["output"], found, strict=True))
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
