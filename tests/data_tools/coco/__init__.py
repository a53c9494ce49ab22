"""Tests of data_tools/coco/."""
