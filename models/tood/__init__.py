"""TOOD on ResNeXt-101."""
