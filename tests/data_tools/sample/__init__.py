"""Tests of data_tools/sample/."""
