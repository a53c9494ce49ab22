"""Tests of models/engine/libraries/."""
