"""Tests of submit/scores/."""
