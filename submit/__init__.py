"""Submission formats, checks and scoring."""
