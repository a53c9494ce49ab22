"""Tests of models/engine/training/watching/."""
