"""Tests of models/engine/runs/."""
