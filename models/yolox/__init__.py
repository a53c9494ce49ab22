"""YOLOX-x."""
