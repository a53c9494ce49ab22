"""Tests of submit/checks/."""
