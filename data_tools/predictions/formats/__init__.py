"""Submission formats: described in YAML, recognised, read as they stand in a file."""
