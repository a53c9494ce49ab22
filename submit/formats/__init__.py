"""Submission formats: described in YAML, read as they stand, printed."""
