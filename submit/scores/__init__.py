"""Scores as a person reads them: texts, tables of several files, what changed."""
