"""Tests of experiments/plan/."""
