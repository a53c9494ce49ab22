"""Tests of submit/."""
