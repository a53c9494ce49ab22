"""Tests of data_tools/predictions/formats/."""
