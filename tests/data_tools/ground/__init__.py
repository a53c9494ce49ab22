"""Tests of data_tools/ground/."""
