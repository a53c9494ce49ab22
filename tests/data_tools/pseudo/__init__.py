"""Tests of data_tools/pseudo/."""
