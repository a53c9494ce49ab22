"""Tests of data_tools/folds/."""
