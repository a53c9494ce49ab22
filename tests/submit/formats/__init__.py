"""Tests of submit/formats/."""
