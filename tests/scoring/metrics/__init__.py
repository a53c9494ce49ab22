"""Tests of scoring/metrics/."""
