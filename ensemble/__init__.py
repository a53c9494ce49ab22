"""Fusion engine: many prediction files in, one out."""
