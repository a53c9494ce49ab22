"""Pseudo-labels: test images with confident predicted boxes, added to one fold's training part."""
