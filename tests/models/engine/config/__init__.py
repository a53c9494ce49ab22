"""Tests of models/engine/config/."""
