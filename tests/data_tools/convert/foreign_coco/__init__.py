"""Tests of reading COCO files of other tools."""
