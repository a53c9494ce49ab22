"""Tests of ensemble/."""
