"""Tests of models/engine/."""
