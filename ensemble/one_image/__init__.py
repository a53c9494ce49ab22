"""Fusion of one image's lists: drop-ins for the reference package, off the main path."""
