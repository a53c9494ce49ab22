"""Tests of models/engine/data/augment/."""
