"""Tests of data_tools/pictures/repair/."""
