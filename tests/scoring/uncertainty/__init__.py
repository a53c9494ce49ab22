"""Tests of scoring/uncertainty/."""
