"""Foundations that every room stands on: errors, files written whole, cached arrays, the machine."""
