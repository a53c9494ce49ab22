"""Tests of ensemble/one_image/."""
