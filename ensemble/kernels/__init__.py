"""Compiled loops of the fusion methods over a whole table of boxes."""
