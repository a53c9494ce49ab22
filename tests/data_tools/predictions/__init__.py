"""Tests of data_tools/predictions/."""
