"""Classify pictures with an exported model; needs onnxruntime, OpenCV and NumPy, not Keras and not this project.

    python -m allhelpers export RUN/mobilenet --format onnx --output mobilenet.onnx
    python examples/run_onnx.py mobilenet.onnx PICTURE [PICTURE ...]

Research only, not for diagnosis.
"""

import sys

import cv2
import numpy as np
import onnxruntime

CROP = 450  # pixels; the official pictures' size, of which larger ones keep the centre


def pixels_of(path, size):
    """A picture as the model was trained on it: central square, resized by pixel area, RGB."""
    picture = cv2.imread(path, cv2.IMREAD_COLOR)
    top, left = (max(0, (side - CROP) // 2) for side in picture.shape[:2])
    picture = picture[top : top + CROP, left : left + CROP]
    small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_BGR2RGB)[np.newaxis]


def main(model, *paths):
    """One line per picture."""
    session = onnxruntime.InferenceSession(model)
    given = session.get_inputs()[0]
    for path in paths:
        p_all, p_hem = session.run(None, {given.name: pixels_of(path, given.shape[1])})[0][0]
        print(f"{path}: p(ALL) = {p_all:.3f}, p(HEM) = {p_hem:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
