"""Experiments as files: read, checked, turned into runs, and trained."""
