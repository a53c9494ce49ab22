"""Tests of models/engine/data/."""
