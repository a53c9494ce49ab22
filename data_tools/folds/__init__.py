"""Folds: which image goes where, the files that say so, and the search for a test-like fold."""
