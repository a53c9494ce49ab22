"""Tests of data_tools/convert/."""
