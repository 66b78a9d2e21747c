"""Figures that several rooms need and none of them owns."""

INPUT_SIZE = 224  # pixels; height and width of the paper's inputs
ORIENTATIONS = 8  # a square has 4 rotations, each with its reflection
IMAGE_SIZE = 450  # pixels; height and width of the official files
# What tells the classes of the synthetic sample apart, joined by "+".
USUAL_SAMPLE = "cell+size"
