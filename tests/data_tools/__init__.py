"""Tests of data_tools/."""
