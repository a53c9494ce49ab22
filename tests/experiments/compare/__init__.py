"""Tests of experiments/compare/."""
