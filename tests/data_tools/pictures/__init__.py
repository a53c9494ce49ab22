"""Tests of data_tools/pictures/."""
