"""Foundations of every room: errors, files written whole, cached arrays, the machine."""
