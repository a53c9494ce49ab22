"""Tests of models/engine/training/."""
