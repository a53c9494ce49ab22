"""Tests of ensemble/kernels/."""
