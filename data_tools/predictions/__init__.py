"""Predicted boxes as one table, their files, and where they come from."""
