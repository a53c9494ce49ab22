"""Tests of data_tools/ground/declared/."""
