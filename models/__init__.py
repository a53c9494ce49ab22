"""Detectors: registry, one folder per model, train, predict."""
