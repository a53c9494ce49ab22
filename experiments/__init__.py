"""Controlled experiments, comparison of runs, and the HTML report."""
