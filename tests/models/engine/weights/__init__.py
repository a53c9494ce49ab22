"""Tests of models/engine/weights/."""
