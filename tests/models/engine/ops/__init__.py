"""Tests of models/engine/ops/."""
