"""Tests of house/."""
