"""Tests of experiments/report/."""
