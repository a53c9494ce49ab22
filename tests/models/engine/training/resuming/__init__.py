"""Tests of models/engine/training/resuming/."""
